package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// dialTimeout bounds the look at one replica; all are looked at side by side.
const dialTimeout = 5 * time.Second

// servingPort is the name of the port at which replicas serve, as in manifests/.
const servingPort = "https"

// replicas asks every endpoint of the Service, ready or not: one that is not
// ready now may be again, with the certificate that it has.
func (o *objects) replicas(ctx context.Context, trust Bundle) replicas {
	addresses := o.options.Replicas
	if len(addresses) == 0 {
		var err error
		if addresses, err = o.endpoints(ctx); err != nil {
			return replicas{err: err}
		}
	}
	all := replicas{found: make([]replica, len(addresses))}
	var asked sync.WaitGroup
	for i, address := range addresses {
		asked.Go(func() { all.found[i] = o.ask(ctx, address, trust) })
	}
	asked.Wait()
	return all
}

// endpoints lists the addresses of the Service's endpoints.
func (o *objects) endpoints(ctx context.Context) ([]string, error) {
	list := &discoveryv1.EndpointSliceList{}
	of := client.MatchingLabels{discoveryv1.LabelServiceName: o.options.Service}
	if err := o.client.List(ctx, list, client.InNamespace(o.options.Namespace), of); err != nil {
		return nil, fmt.Errorf("list the EndpointSlices of Service %s/%s: %w", o.options.Namespace, o.options.Service, err)
	}
	var addresses []string
	for _, slice := range list.Items {
		addresses = append(addresses, addressesOf(slice)...)
	}
	return addresses, nil
}

func addressesOf(slice discoveryv1.EndpointSlice) []string {
	var addresses []string
	for _, port := range slice.Ports {
		if port.Port == nil || port.Name == nil || *port.Name != servingPort {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			for _, address := range endpoint.Addresses {
				addresses = append(addresses, net.JoinHostPort(address, strconv.Itoa(int(*port.Port))))
			}
		}
	}
	return addresses
}

// ask returns what a replica serves to a client that trusts those authorities.
func (o *objects) ask(ctx context.Context, address string, trust Bundle) replica {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		RootCAs: trust.pool(), ServerName: o.options.Hosts[0], Time: o.options.Now, MinVersion: tls.VersionTLS12,
	}}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return replica{address: address, err: err}
	}
	serves := connection.(*tls.Conn).ConnectionState().PeerCertificates[0]
	_ = connection.Close() // nothing was sent that could be lost
	return replica{address: address, serves: serves}
}
