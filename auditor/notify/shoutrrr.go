package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cenkalti/backoff/v5"
	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// Services of shoutrrr that the other kinds of sinks do better, or that go nowhere.
var elsewhere = map[string]Kind{"generic": ToWebhook, "slack": ToSlack, "logger": ""}

// unverified are the keys by which shoutrrr's services leave TLS unverified.
var unverified = []string{"disabletlsverification", "insecureskipverify", "skiptlsverify"}

// checkShoutrrr is an error where a service is better spoken to by another kind of sink, or
// not at all.
func checkShoutrrr(u *url.URL) error {
	scheme, _, _ := strings.Cut(strings.ToLower(u.Scheme), "+")
	if kind, known := elsewhere[scheme]; known {
		if kind == "" {
			return errors.New("is one of shoutrrr's logger, which sends nothing")
		}
		return fmt.Errorf("is one of shoutrrr's %s: give its own URL, and the kind %s", scheme, kind)
	}
	if _, err := (&router.ServiceRouter{}).NewService(scheme); err != nil {
		return errors.New("is of no service that shoutrrr knows: see https://shoutrrr.nickfedor.com")
	}
	for key, values := range u.Query() {
		if slices.Contains(unverified, strings.ToLower(key)) && !slices.Contains(values, "no") {
			return errors.New("leaves TLS unverified: have the certificate trusted instead")
		}
	}
	return nil
}

// errHanging: shoutrrr cannot be told to give up, so nothing is begun beside an attempt that
// has not returned.
var errHanging = errors.New("an earlier attempt still waits for the service")

// shout sends a text by shoutrrr. Its errors may hold the URL, and are not shown: what is
// said are words of our own.
func (s *sink) shout(ctx context.Context, address, text string) error {
	service, err := (&router.ServiceRouter{}).Locate(address)
	if err != nil {
		return backoff.Permanent(errors.New("shoutrrr does not take the URL: see https://shoutrrr.nickfedor.com"))
	}
	if !s.shouting.TryLock() {
		return errHanging
	}
	ended := make(chan error, 1)
	go func() {
		defer s.shouting.Unlock()
		defer func() {
			if v := recover(); v != nil {
				ended <- errors.New("it gave up")
			}
		}()
		ended <- service.Send(text, &types.Params{})
	}()
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-ended:
		return shouted(err)
	}
}

// shouted is an error of shoutrrr in words of our own.
func shouted(err error) error {
	if err == nil {
		return nil
	}
	for status := http.StatusBadRequest; status < 600; status++ {
		text := http.StatusText(status)
		if text == "" || !strings.Contains(err.Error(), fmt.Sprintf("%d %s", status, text)) {
			continue
		}
		failure := fmt.Errorf("it answers %d %s", status, text)
		if status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
			return failure
		}
		return backoff.Permanent(failure)
	}
	if failure, ok := errors.AsType[*url.Error](err); ok {
		return withoutURL(failure)
	}
	return errors.New("the service did not take it; what shoutrrr says may hold the URL, and is not shown")
}
