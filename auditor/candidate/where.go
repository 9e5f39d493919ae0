package candidate

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Where is the place at which a webhook answers. Exactly one of its fields is set.
type Where struct {
	URL     *url.URL
	Service *Service
	Command string
}

// Service is a place in the cluster.
type Service struct {
	Namespace, Name string
	Port            int32
	Path            string // with the slash that it begins with; empty for none
}

// serverName is what the Service's certificate is for, as the API server has it.
func (s Service) serverName() string { return s.Name + "." + s.Namespace + ".svc" }

// webhookPort is the port of a Service whose reference names none.
const webhookPort = 443

// ParseWhere reads https://HOST:PORT/PATH, svc/NAMESPACE/NAME:PORT/PATH or exec:COMMAND. Of
// the first two, port and path may be left out.
func ParseWhere(text string) (Where, error) {
	switch {
	case strings.HasPrefix(text, "https://"):
		at, err := url.Parse(text)
		switch {
		case err != nil:
			return Where{}, err
		case at.Hostname() == "":
			return Where{}, errors.New("the URL has no host")
		case at.User != nil || at.Fragment != "" || at.RawQuery != "":
			return Where{}, errors.New("the URL of a webhook has neither user nor query nor fragment")
		}
		return Where{URL: at}, nil
	case strings.HasPrefix(text, "svc/"):
		service, err := parseService(strings.TrimPrefix(text, "svc/"))
		return Where{Service: service}, err
	case strings.HasPrefix(text, "exec:"):
		command := strings.TrimSpace(strings.TrimPrefix(text, "exec:"))
		if command == "" {
			return Where{}, errors.New("exec: has no command")
		}
		return Where{Command: command}, nil
	case strings.HasPrefix(text, "http://"):
		return Where{}, errors.New("API servers call webhooks by https:// only")
	}
	return Where{}, errors.New("give https://HOST:PORT/PATH, svc/NAMESPACE/NAME:PORT/PATH or exec:COMMAND")
}

func parseService(text string) (*Service, error) {
	namespace, rest, _ := strings.Cut(text, "/")
	host, path, hasPath := strings.Cut(rest, "/")
	name, port, hasPort := strings.Cut(host, ":")
	for _, part := range []string{namespace, name} {
		if problems := validation.IsDNS1123Label(part); len(problems) > 0 {
			return nil, fmt.Errorf("%q is no name in svc/NAMESPACE/NAME:PORT/PATH", part)
		}
	}
	s := &Service{Namespace: namespace, Name: name, Port: webhookPort}
	if hasPath {
		s.Path = "/" + path
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is no port", port)
		}
		s.Port = int32(n)
	}
	return s, nil
}

// String is the text that ParseWhere reads.
func (w Where) String() string {
	switch {
	case w.URL != nil:
		return w.URL.String()
	case w.Service != nil:
		return fmt.Sprintf("svc/%s/%s:%d%s", w.Service.Namespace, w.Service.Name, w.Service.Port, w.Service.Path)
	}
	return "exec:" + w.Command
}
