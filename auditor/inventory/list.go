package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// pageSize is how many objects the API server is asked for at once, as kubectl
// does.
const pageSize = 500

// Lists that must be read again from their beginning.
var (
	// errExpired: it changed so much while it was read that the rest is not known.
	errExpired = errors.New("the list expired while it was read")
	// errCut: the answer ended before the list did, as when a connection is lost.
	errCut = errors.New("the list was cut off while it was read")
)

// query is a list to read.
type query struct {
	resource
	namespace      string // empty means all
	labels, fields string // selectors
	metadata       bool   // of the objects nothing else is wanted
}

// onlyMetadata has the API server answer with nothing but metadata, if it can.
const onlyMetadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"

// list reads all pages of a list. It calls item with the raw JSON of each
// object, which is only valid during the call, and page after each page: only
// then is no response open, and the callee may take its time.
func list(ctx context.Context, client rest.Interface, q query, item func([]byte) error, pageDone func() error) error {
	token := ""
	for {
		next, err := listPage(ctx, client, q, token, item)
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			// The rest of the list as of now, if the server offers it: nothing
			// that an audit compares needs one point in time.
			if next = continueFromNow(err); next == "" {
				return q.refused("list", q.namespace, "", fmt.Errorf("%w: %w", errExpired, err))
			}
		} else if err != nil {
			return q.refused("list", q.namespace, "", err)
		}
		if err := pageDone(); err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		token = next
	}
}

// continueFromNow is the token that comes with 410 Gone.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
func continueFromNow(err error) string {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return ""
	}
	return status.ErrStatus.Continue
}

func listPage(ctx context.Context, client rest.Interface, q query, token string, item func([]byte) error) (string, error) {
	request := q.in(client.Get(), q.namespace).Param("limit", strconv.Itoa(pageSize))
	if q.metadata {
		request.SetHeader("Accept", onlyMetadata)
	}
	for name, value := range map[string]string{
		"continue": token, "labelSelector": q.labels, "fieldSelector": q.fields,
	} {
		if value != "" {
			request.Param(name, value)
		}
	}
	body, err := request.Stream(ctx)
	if err != nil {
		return "", err
	}
	defer body.Close()
	var refused error // item's, which would be the same another time
	read, err := readPage(body, func(raw []byte) error {
		refused = item(raw)
		return refused
	})
	if err != nil && refused == nil {
		err = fmt.Errorf("%w: %w", errCut, err)
	}
	return read.next, err
}

// page is what a list says of itself.
type page struct {
	next    string // the token to continue with; empty: it is the last page
	version string
}

// readPage reads a list object. Its items may be anybody's: what is wrong with one
// is for those to say who read it.
func readPage(body io.Reader, item func([]byte) error) (read page, err error) {
	s := jsontree.NewStream(body)
	err = members(s, func(name string) error {
		switch name {
		case "metadata":
			value, err := s.Value()
			if err != nil {
				return err
			}
			metadata, err := jsontree.Parse(value)
			read = page{metadata.Get("continue").String(), metadata.Get("resourceVersion").String()}
			return err
		case "items":
			return items(s, item)
		}
		_, err := s.Value()
		return err
	})
	return read, err
}

// members reads an object: value is to read that of each member.
func members(s *jsontree.Stream, value func(name string) error) error {
	return between(s, '{', '}', func() error {
		quoted, err := s.Value()
		if err != nil {
			return err
		}
		name, err := jsontree.Parse(quoted)
		if err != nil {
			return err
		}
		text := name.String() // which the next reading overwrites
		if err := s.Skip(':'); err != nil {
			return err
		}
		return value(text)
	})
}

func items(s *jsontree.Stream, item func([]byte) error) error {
	if first, err := s.Peek(); err == nil && first == 'n' { // an empty list may be null
		_, err := s.Value()
		return err
	}
	return between(s, '[', ']', func() error {
		value, err := s.Value()
		if err != nil {
			return err
		}
		return item(value)
	})
}

// between reads what stands between two brackets, separated by commas.
func between(s *jsontree.Stream, left, right byte, one func() error) error {
	if err := s.Skip(left); err != nil {
		return fmt.Errorf("the answer is no list: %w", err)
	}
	for first := true; ; first = false {
		next, err := s.Peek()
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if next == right {
			return s.Skip(right)
		}
		if !first {
			if err := s.Skip(','); err != nil {
				return err
			}
		}
		if err := one(); err != nil {
			return err
		}
	}
}

// get reads one object.
func get(ctx context.Context, client rest.Interface, r resource, namespace, name string) ([]byte, error) {
	result := r.in(client.Get(), namespace).Name(name).Do(ctx)
	if err := result.Error(); err != nil {
		return nil, r.refused("get", namespace, name, err)
	}
	return result.Raw()
}
