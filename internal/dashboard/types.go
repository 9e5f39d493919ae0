package dashboard

// object is a JSON object whose fields Grafana defines.
type object = map[string]any

// Dashboard is what Grafana reads, as far as this one sets it.
type Dashboard struct {
	Title         string   `json:"title"`
	UID           string   `json:"uid"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	SchemaVersion int      `json:"schemaVersion"`
	Editable      bool     `json:"editable"`
	GraphTooltip  int      `json:"graphTooltip"`
	Refresh       string   `json:"refresh"`
	Timezone      string   `json:"timezone"`
	Time          object   `json:"time"`
	Templating    object   `json:"templating"`
	Annotations   object   `json:"annotations"`
	Links         []object `json:"links"`
	Panels        []Panel  `json:"panels"`
}

// Panel is a panel, or a row's title.
type Panel struct {
	ID              int          `json:"id"`
	Type            string       `json:"type"`
	Title           string       `json:"title"`
	Description     string       `json:"description,omitempty"`
	GridPos         GridPos      `json:"gridPos"`
	Datasource      *Datasource  `json:"datasource,omitempty"`
	FieldConfig     *FieldConfig `json:"fieldConfig,omitempty"`
	Options         object       `json:"options,omitempty"`
	Targets         []Target     `json:"targets,omitempty"`
	Transformations []object     `json:"transformations,omitempty"`

	// Of rows only.
	Collapsed *bool    `json:"collapsed,omitempty"`
	Panels    *[]Panel `json:"panels,omitempty"`
}

// GridPos is a place on a grid of 24 columns.
type GridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

// Datasource refers to one; this dashboard's is that of the variable datasource.
type Datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// FieldConfig says how values look.
type FieldConfig struct {
	Defaults  Defaults `json:"defaults"`
	Overrides []object `json:"overrides"`
}

// Defaults are of all values of a panel.
type Defaults struct {
	Unit       string     `json:"unit"`
	Decimals   *int       `json:"decimals,omitempty"`
	Min        *float64   `json:"min,omitempty"`
	Max        *float64   `json:"max,omitempty"`
	NoValue    string     `json:"noValue,omitempty"`
	Color      object     `json:"color"`
	Mappings   []object   `json:"mappings"`
	Thresholds Thresholds `json:"thresholds"`
	Custom     object     `json:"custom,omitempty"`
}

// Thresholds are colours by value.
type Thresholds struct {
	Mode  string `json:"mode"`
	Steps []Step `json:"steps"`
}

// Step is the colour from a value on; the first has none.
type Step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

// Target is a query.
type Target struct {
	RefID        string      `json:"refId"`
	Datasource   *Datasource `json:"datasource"`
	Expr         string      `json:"expr"`
	LegendFormat string      `json:"legendFormat"`
	Instant      bool        `json:"instant"`
	Range        bool        `json:"range"`
	Format       string      `json:"format,omitempty"`
}
