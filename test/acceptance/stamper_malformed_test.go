package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
)

// malformation makes what is no good review, mostly from one that is.
type malformation struct {
	name string
	body func(random *rand.Rand, review []byte) []byte
	// mayBeRead tells that it may be an AdmissionReview still.
	mayBeRead bool
}

const (
	// tooLong is more than any review has, in bytes.
	tooLong = 9 << 20
	// tooMany is more values than any review has.
	tooMany = 1 << 20
)

var malformations = []malformation{
	{name: "empty", body: func(*rand.Rand, []byte) []byte { return nil }},
	{name: "truncated", body: func(random *rand.Rand, review []byte) []byte { return review[:random.IntN(len(review))] }},
	{name: "binary", body: func(random *rand.Rand, review []byte) []byte { return randomBytes(random, random.IntN(len(review))) }},
	{name: "a stretch overwritten", mayBeRead: true, body: func(random *rand.Rand, review []byte) []byte {
		return overwritten(review, random.IntN(len(review)), randomBytes(random, 1+random.IntN(16)))
	}},
	{name: "invalid UTF-8", body: func(random *rand.Rand, review []byte) []byte {
		return replaced(review, `"nginx:1.27"`, fmt.Sprintf("\"\xff%d\"", random.Int()))
	}},
	{name: "another document behind it", body: func(random *rand.Rand, review []byte) []byte {
		return append(bytes.Clone(review), oneOf(random, "{}", "null", "]", "\x00")...)
	}},
	{name: "duplicate keys", body: func(random *rand.Rand, review []byte) []byte {
		name := oneOf(random, `"uid":`, `"object":`, `"annotations":`, `"containers":`, `"image":`)
		return replaced(review, name, name+`null,`+name)
	}},
	{name: "another version", body: func(random *rand.Rand, review []byte) []byte {
		return replaced(review, "admission.k8s.io/v1", oneOf(random, "admission.k8s.io/v1beta1", "admission.k8s.io/v2", "v1", ""))
	}},
	{name: "another kind", body: func(random *rand.Rand, review []byte) []byte {
		return replaced(review, "AdmissionReview", oneOf(random, "ConversionReview", "TokenReview", "Pod", ""))
	}},
	{name: "a request of another type", body: func(random *rand.Rand, _ []byte) []byte {
		request := oneOf(random, `1`, `"a"`, `null`, `true`, `[]`, `{}`, `{"uid":1}`, `{"uid":""}`, `{"uid":null}`, `[{"uid":"a"}]`)
		return []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":` + request + `}`)
	}},
	{name: "a field of another type", mayBeRead: true, body: func(random *rand.Rand, review []byte) []byte {
		name := oneOf(random, `"object":`, `"metadata":`, `"annotations":`, `"managedFields":`, `"fieldsV1":`, `"containers":`, `"env":`)
		return replaced(review, name, name+oneOf(random, `1`, `"a"`, `null`, `[]`, `{}`, `[null]`)+`,"other":`)
	}},
	{name: "deep", body: func(random *rand.Rand, _ []byte) []byte {
		levels := 20_000 + random.IntN(500_000)
		open := oneOf(random, `[`, `{"a":`)
		return []byte(strings.Repeat(open, levels))
	}},
	{name: "long", body: func(random *rand.Rand, review []byte) []byte {
		return replaced(review, `"nginx:1.27"`, `"`+strings.Repeat(oneOf(random, "a", `\n`, " "), tooLong)+`"`)
	}},
	{name: "of many values", body: func(random *rand.Rand, review []byte) []byte {
		return replaced(review, `"env":[`, `"env":[`+strings.Repeat(oneOf(random, `0,`, `"",`, `{},`), tooMany))
	}},
}

func oneOf(random *rand.Rand, choices ...string) string { return choices[random.IntN(len(choices))] }

func randomBytes(random *rand.Rand, count int) []byte {
	made := make([]byte, count)
	for i := range made {
		made[i] = byte(random.IntN(256))
	}
	return made
}

func overwritten(review []byte, at int, with []byte) []byte {
	review = bytes.Clone(review)
	copy(review[at:], with)
	return review
}

// replaced panics if there is nothing to replace: the malformation would be none.
func replaced(review []byte, what, with string) []byte {
	if !bytes.Contains(review, []byte(what)) {
		panic("the captured review has no " + what)
	}
	return bytes.Replace(review, []byte(what), []byte(with), 1)
}

// sendMalformed fails unless the body is refused or, where it may be read, its
// object allowed. What there is no room for is refused with 503.
func sendMalformed(ctx context.Context, client *http.Client, url string, m malformation, body []byte) error {
	status, text, err := post(ctx, client, url, body)
	switch {
	case err != nil:
		return err
	case status == http.StatusOK && m.mayBeRead:
		var answer admissionv1.AdmissionReview
		if err := json.Unmarshal(text, &answer); err == nil && answer.Response != nil && answer.Response.Allowed {
			return nil
		}
	case status >= 400 && status < 500, status == http.StatusServiceUnavailable:
		return nil
	}
	return fmt.Errorf("status %d: %.200s", status, text)
}
