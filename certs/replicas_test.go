package certs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestAddressesOfEndpoints(t *testing.T) {
	slice := discoveryv1.EndpointSlice{
		Ports: []discoveryv1.EndpointPort{
			{Name: new("metrics"), Port: new(int32(8080))},
			{Name: new("https"), Port: new(int32(9443))},
			{Name: new("https")},
			{Port: new(int32(1))},
		},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.0.0.1"}},
			{Addresses: []string{"2001:db8::1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}},
		},
	}
	want := []string{"10.0.0.1:9443", "[2001:db8::1]:9443"}
	if diff := cmp.Diff(want, addressesOf(slice)); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}
