package fence

import (
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// notStored is the answer of an API server's storage to an object with a
// resourceVersion (k8s.io/apiserver/pkg/storage.ErrResourceVersionSetOnCreate), or
// to one that exists.
func notStored(err error) bool {
	return apierrors.IsAlreadyExists(err) || strings.Contains(err.Error(), "resourceVersion should not be set on objects to be created")
}

func notFound(err error) bool { return apierrors.IsNotFound(err) }

func never(error) bool { return false }
