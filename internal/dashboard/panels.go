package dashboard

import (
	"maps"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Colours of thresholds are those of the states that they remind of.
var (
	green  = report.StateColour(verdict.InSync)
	orange = report.StateColour(verdict.Drifted)
	red    = report.StateColour(verdict.Blocked)
	grey   = report.StateColour(verdict.NotInjected)
)

// style is how a panel's values look.
type style struct {
	unit  string
	steps []Step
	// limit draws the thresholds as lines in a graph.
	limit bool
	// stacked piles the series of a graph up.
	stacked bool
	// colours are of series, by their names, and names are what is shown in the place of these.
	colours, names map[string]string
	// most is what a full bar stands for.
	most *float64
	// decimals are as many as the value needs if there are none.
	decimals *int
	// words are shown in the place of values.
	words map[string]string
	// none is shown where there is no value.
	none string
}

// days are shown as such: 71 and 89 of them are no two months.
func days(decimals int, steps []Step) style {
	return style{unit: "suffix:days", decimals: &decimals, steps: steps}
}

// or shows a word where there is no value.
func (s style) or(none string) style {
	s.none = none
	return s
}

// from is a colour from nothing on, and further ones from values on.
func from(colour string, further ...Step) []Step {
	return append([]Step{{Color: colour}}, further...)
}

func at(value float64, colour string) Step { return Step{Color: colour, Value: &value} }

func (s style) fieldConfig(mode string, custom object) *FieldConfig {
	mappings := []object{}
	for _, value := range sortedKeys(s.words) {
		mappings = append(mappings, object{"type": "value", "options": object{value: object{"text": s.words[value]}}})
	}
	overrides := []object{}
	for _, name := range sortedKeys(s.colours) {
		properties := []object{property("color", object{"mode": "fixed", "fixedColor": s.colours[name]})}
		if shown := s.names[name]; shown != "" {
			properties = append(properties, property("displayName", shown))
		}
		overrides = append(overrides, override(name, properties...))
	}
	return &FieldConfig{
		Defaults: Defaults{
			Unit: s.unit, Decimals: s.decimals, Min: new(0.0), Max: s.most, NoValue: s.none, Color: object{"mode": mode}, Mappings: mappings,
			Thresholds: Thresholds{Mode: "absolute", Steps: s.steps}, Custom: custom,
		},
		Overrides: overrides,
	}
}

// override sets properties of the series, or of the column, with a name.
func override(name string, properties ...object) object {
	return object{"matcher": object{"id": "byName", "options": name}, "properties": properties}
}

func property(id string, value any) object { return object{"id": id, "value": value} }

// query is a target before it has its letter.
type query struct {
	expr, legend string
}

func targets(instant bool, format string, queries []query) []Target {
	var found []Target
	for i, q := range queries {
		found = append(found, Target{
			RefID: string(rune('A' + i)), Datasource: source(), Expr: q.expr, LegendFormat: q.legend,
			Instant: instant, Range: !instant, Format: format,
		})
	}
	return found
}

func panel(kind, title, description string, width, height int) Panel {
	return Panel{Type: kind, Title: title, Description: description, Datasource: source(), GridPos: GridPos{W: width, H: height}}
}

// stat is a number, or one for each series.
func stat(title, description string, width, height int, s style, queries ...query) Panel {
	p := panel("stat", title, description, width, height)
	p.FieldConfig = s.fieldConfig("thresholds", nil)
	p.Options = object{
		"colorMode": "background", "graphMode": "none", "justifyMode": "center", "textMode": "auto", "wideLayout": true,
		"orientation": "auto", "percentChangeColorMode": "standard", "showPercentChange": false,
		"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
	}
	if len(queries) == 1 && queries[0].legend != "" {
		p.Options["textMode"] = "value_and_name"
	}
	p.Targets = targets(true, "", queries)
	return p
}

// graph is a number over time.
func graph(title, description string, width, height int, s style, queries ...query) Panel {
	p := panel("timeseries", title, description, width, height)
	// Lines alone, as fills of several series mix to one colour; and in a stack fills alone,
	// as a line would be drawn for what is 0.
	stacking, lineWidth, fill, lines := "none", 2, 0, "off"
	if s.stacked {
		stacking, lineWidth, fill = "normal", 0, 70
	}
	if s.limit {
		lines = "dashed"
	}
	p.FieldConfig = s.fieldConfig("palette-classic", object{
		"drawStyle": "line", "lineInterpolation": "stepAfter", "lineWidth": lineWidth, "fillOpacity": fill, "showPoints": "never", "spanNulls": false,
		"stacking": object{"mode": stacking, "group": "A"}, "thresholdsStyle": object{"mode": lines},
	})
	legend := object{"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": []string{"lastNotNull", "max"}}
	if width >= 10 { // there is room for all series at the right, and below it for three
		legend["placement"] = "right"
	}
	p.Options = object{
		"legend":  legend,
		"tooltip": object{"mode": "multi", "sort": "desc", "hideZeros": true},
	}
	p.Targets = targets(false, "", queries)
	return p
}

// bars is a bar for each series, longest first if the query sorts.
func bars(title, description string, width, height int, s style, queries ...query) Panel {
	p := panel("bargauge", title, description, width, height)
	p.FieldConfig = s.fieldConfig("thresholds", nil)
	p.Options = object{
		"displayMode": "basic", "orientation": "horizontal", "namePlacement": "auto", "showUnfilled": true, "sizing": "auto", "valueMode": "color",
		"text":         object{"titleSize": 14, "valueSize": 16},
		"minVizHeight": 16, "minVizWidth": 8, "maxVizHeight": 300,
		"legend":        object{"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []string{}},
		"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
	}
	p.Targets = targets(true, "", queries)
	return p
}

// column is a query's values in a table.
type column struct {
	query, name, unit string
	decimals          int    // as many as the value needs if 0
	steps             []Step // colours; none for a plain column
}

// sorted says by which column a table is.
type sorted struct {
	column     string
	descending bool
}

// columnNames are those of columns that labels make, in their order.
var columnNames = []struct{ label, name string }{
	{"cluster", "Cluster"}, {"namespace", "Namespace"}, {"change", "Change"}, {"kind", "Kind"}, {"name", "Workload"}, {"state", "State"}, {"risk", "Risk"},
}

// table is a row for each set of labels.
func table(title, description string, width, height int, s style, by sorted, columns ...column) Panel {
	p := panel("table", title, description, width, height)
	p.FieldConfig = s.fieldConfig("thresholds", object{"align": "auto", "cellOptions": object{"type": "auto"}, "inspect": false, "minWidth": 60})
	names, order := object{}, object{}
	for i, c := range columnNames {
		names[c.label], order[c.label] = c.name, i
	}
	var queries []query
	for i, c := range columns {
		value := "Value #" + string(rune('A'+i))
		if len(columns) == 1 {
			value = "Value"
		}
		names[value], order[value] = c.name, len(columnNames)+i
		properties := []object{property("unit", c.unit)}
		if c.decimals > 0 {
			properties = append(properties, property("decimals", c.decimals))
		}
		if len(c.steps) > 0 {
			properties = append(properties,
				property("thresholds", Thresholds{Mode: "absolute", Steps: c.steps}),
				property("custom.cellOptions", object{"type": "color-background", "mode": "basic"}))
		}
		p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override(c.name, properties...))
		queries = append(queries, query{expr: c.query})
	}
	p.Options = object{"showHeader": true, "cellHeight": "sm", "frameIndex": 0, "sortBy": []object{{"displayName": by.column, "desc": by.descending}}}
	p.Targets = targets(true, "table", queries)
	p.Transformations = []object{
		{"id": "merge", "options": object{}},
		{"id": "organize", "options": object{"excludeByName": object{"Time": true}, "indexByName": order, "renameByName": names}},
	}
	return p
}

// link is where a cell leads.
func link(title, url string, blank bool) object {
	return object{"title": title, "url": url, "targetBlank": blank}
}

// with has the cells of a column lead somewhere.
func (p Panel) with(column string, to object) Panel {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override(column, property("links", []object{to})))
	return p
}

// coloured has a column's words in their colours.
func (p Panel) coloured(column string, colours map[string]string) Panel {
	options := object{}
	for i, word := range sortedKeys(colours) {
		options[word] = object{"color": colours[word], "index": i}
	}
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override(column,
		property("mappings", []object{{"type": "value", "options": options}}),
		property("custom.cellOptions", object{"type": "color-text"})))
	return p
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
