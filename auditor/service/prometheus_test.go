package service

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
)

func TestRowsOfAPrometheus(t *testing.T) {
	const query = `ALERTS{severity="critical",alertstate="firing"} > 0`
	for name, test := range map[string]struct {
		status int
		answer string
		rows   bool
		err    string
	}{
		"none":              {200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, false, ""},
		"one":               {200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}`, true, ""},
		"a scalar":          {200, `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`, true, ""},
		"very many":         {200, `{"status":"success","data":{"result":[` + strings.Repeat(`{},`, maxAnswer) + `{}]}}`, true, ""},
		"a wrong query":     {400, `{"status":"error","errorType":"bad_data","error":"parse error"}`, false, "parse error"},
		"not a Prometheus":  {404, `<html>not found</html>`, false, "404 Not Found: no answer of a Prometheus"},
		"an empty answer":   {502, ``, false, "502 Bad Gateway"},
		"neither nor":       {200, `{}`, false, "status"},
		"an unknown status": {200, `{"status":"later"}`, false, "later"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/prometheus/api/v1/query" || r.URL.Query().Get("query") != query {
					t.Errorf("asked for %s", r.URL)
				}
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.answer)
			}))
			defer server.Close()
			got, err := rows(t.Context(), config.PrometheusQuery{URL: server.URL + "/prometheus/", Query: query})
			if got != test.rows {
				t.Errorf("rows: %t", got)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
	if _, err := rows(t.Context(), config.PrometheusQuery{URL: "http://127.0.0.1:1", Query: query}); err == nil {
		t.Error("no error where nobody answers")
	}
}
