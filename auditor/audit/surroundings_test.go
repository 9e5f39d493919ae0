package audit

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// What audits of single workloads share is believed for a minute, and not after it could not
// be read, nor where it was read for other questions.
func TestSurroundings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := Options{Surroundings: &Surroundings{}, Selection: inventory.Selection{Namespace: "shop"}}
		read := func(o Options) (*injection.Identities, *Admission, *autoscaling) {
			t.Helper()
			as, asked, sizes, err := o.around(nil, &rest.Config{})
			if err != nil {
				t.Fatal(err)
			}
			return as, asked, sizes
		}
		as, asked, sizes := read(shop)
		same := func(o Options, wantSame bool, what string) {
			t.Helper()
			otherAs, otherAsked, _ := read(o)
			if (otherAs == as) != wantSame || (otherAsked == asked) != wantSame {
				t.Errorf("%s: shared %t", what, otherAs == as)
			}
		}
		same(shop, true, "the next")
		other := shop
		other.Selection.Namespace = "payments"
		same(other, true, "another namespace")
		if _, _, theirs := read(other); theirs == sizes {
			t.Error("the autoscalers of one namespace are taken for another's")
		}
		if _, _, again := read(shop); again != sizes {
			t.Error("autoscalers are read again")
		}
		time.Sleep(believedFor - time.Second)
		same(shop, true, "within the minute")
		time.Sleep(time.Second)
		same(shop, false, "after it")

		as, asked, _ = read(shop)
		asked.err = apierrors.NewForbidden(schema.GroupResource{}, "", nil) // which stays so
		same(shop, true, "what may not be read")
		asked.err = errors.New("away")
		same(shop, false, "what could not be read")

		as, asked, _ = read(shop)
		self := shop
		self.DryRunAs = injection.Self
		same(self, false, "asked as another")
		as, asked, _ = read(shop)
		further := shop
		further.Autoscalers.Objects = []inventory.AutoscalerKind{{Off: []string{"spec"}}}
		same(further, false, "other autoscalers")

		alone := shop
		alone.Surroundings = nil
		as, asked, _ = read(alone)
		same(alone, false, "with nobody")
	})
}
