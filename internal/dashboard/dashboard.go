// Package dashboard makes the dashboard for Grafana, of which manifests/grafana
// holds the JSON.
package dashboard

import (
	"encoding/json"
	"fmt"
)

//go:generate go run ./generate ../../manifests

// source is the data source that the user chooses at the top of the dashboard.
func source() *Datasource { return &Datasource{Type: "prometheus", UID: "${datasource}"} }

const uid = "sidecar-drift"

// section is a row's title and what stands below it, in order, with each
// panel's width and height.
type section struct {
	title  string
	panels []Panel
}

// New returns the dashboard.
func New() Dashboard {
	return Dashboard{
		Title:         "Sidecar drift",
		UID:           uid,
		Description:   "Which Pods would get another sidecar if they were re-created now, and how the auditor and the stamper do.",
		Tags:          []string{"sidecar-drift", "kubernetes"},
		SchemaVersion: 39,
		Editable:      true,
		GraphTooltip:  1, // a crosshair on all panels
		Refresh:       "1m",
		Timezone:      "browser",
		Time:          object{"from": "now-24h", "to": "now"},
		Templating:    object{"list": variables()},
		Annotations:   object{"list": []object{beginnings()}},
		Links: []object{
			elsewhere("The page", "What was found, workload by workload: where the variable Page says", "external link", "${page}"),
			elsewhere("Runbooks", "What each alert means, and what to do", "doc", "https://github.com/sidecar-drift/sidecar-drift/blob/main/docs/monitoring.md"),
		},
		Panels: layOut([]section{now(), changes(), overTime(), byNamespace(), byWorkload(), audits(), stamper(), rollouts()}),
	}
}

// JSON returns the dashboard as a file.
func (d Dashboard) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the dashboard: %w", err)
	}
	return append(text, '\n'), nil
}

// elsewhere is a link at the top of the dashboard.
func elsewhere(title, tooltip, icon, url string) object {
	return object{
		"title": title, "type": "link", "icon": icon, "tooltip": tooltip, "tags": []string{}, "url": url,
		"targetBlank": true, "asDropdown": false, "includeVars": false, "keepTime": false,
	}
}

// beginnings are when open changes began, as lines in all graphs. The data source wants
// milliseconds.
func beginnings() object {
	return object{
		"name": "Changes", "datasource": source(), "enable": true, "iconColor": orange,
		"expr":            "1000 * max by (cluster, change, risk) (sidecar_drift_change_started_timestamp_seconds{" + inCluster + "})",
		"useValueForTime": true, "step": "60s",
		"titleFormat": "Change {{change}} began", "textFormat": "Risk: {{risk}}. sidecar-drift audit --change {{change}}", "tagKeys": "cluster,risk",
	}
}

// variables are those that a user chooses. All stands for the regular
// expression .*, which series without the label match, too: most installations
// have no label cluster.
func variables() []object {
	query := func(name, label, description, metric string) object {
		values := fmt.Sprintf("label_values(%s, %s)", metric, name)
		return object{
			"name": name, "label": label, "description": description, "type": "query", "datasource": source(),
			"query":      object{"query": values, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
			"refresh":    2, // when the time range changes
			"sort":       1,
			"includeAll": true, "multi": true, "allValue": ".*",
			"current": object{"text": []string{"All"}, "value": []string{"$__all"}},
		}
	}
	return []object{
		{
			"name": "datasource", "label": "Data source", "description": "The Prometheus that scrapes sidecar-drift.",
			"type": "datasource", "query": "prometheus", "refresh": 1,
			"includeAll": false, "multi": false, "current": object{"text": "", "value": ""},
		},
		query("cluster", "Cluster", "From the label cluster, which scrapes may add; without it there is only All.", "sidecar_drift_audit_errors_total"),
		query("namespace", "Namespace", "Of what was audited; the audit's, the stamper's and the rollouts' own health is that of the whole cluster.", `sidecar_drift_pods{cluster=~"$cluster"}`),
		{
			"name": "page", "label": "Page", "description": "Where the auditor's page is, without a slash at the end: workloads lead there. As it stands, kubectl -n sidecar-drift port-forward deployment/sidecar-drift-auditor 8082 brings it there.",
			"type": "textbox", "query": "http://localhost:8082", "current": object{"text": "http://localhost:8082", "value": "http://localhost:8082"},
		},
	}
}

// layOut gives each panel its id and its place: from left to right, and then on
// to the next line.
func layOut(sections []section) []Panel {
	const columns = 24
	var panels []Panel
	y := 0
	place := func(p Panel, x int) {
		p.ID = len(panels) + 1
		p.GridPos.X, p.GridPos.Y = x, y
		panels = append(panels, p)
	}
	for _, s := range sections {
		place(Panel{Type: "row", Title: s.title, GridPos: GridPos{H: 1, W: columns}, Collapsed: new(false), Panels: &[]Panel{}}, 0)
		y++
		x, height := 0, 0
		for _, p := range s.panels {
			if x+p.GridPos.W > columns {
				x, y, height = 0, y+height, 0
			}
			place(p, x)
			x, height = x+p.GridPos.W, max(height, p.GridPos.H)
		}
		y += height
	}
	return panels
}
