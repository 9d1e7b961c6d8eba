package api

// Artifacts are what a program made beside its output.
type Artifacts struct {
	Charts []Chart `json:"charts"` // in the order they were shown
}

// Chart is a figure of matplotlib as data (docs/wire.md, "Charts"). Type is line, scatter, bar, pie, box_and_whisker,
// composite_chart or unknown; the other fields are those of the type.
type Chart struct {
	Type   string `json:"type"`
	Title  string `json:"title,omitempty"`
	PNG    string `json:"png,omitempty"` // base64
	XLabel string `json:"x_label,omitempty"`
	YLabel string `json:"y_label,omitempty"`
	ChartAxes
	Elements []ChartElement `json:"elements"`
}

// ChartAxes are the ticks and scales of a chart with axes: linear, log and so on, datetime or categorical.
type ChartAxes struct {
	XTicks      []float64 `json:"x_ticks,omitempty"`
	YTicks      []float64 `json:"y_ticks,omitempty"`
	XTickLabels []string  `json:"x_tick_labels,omitempty"`
	YTickLabels []string  `json:"y_tick_labels,omitempty"`
	XScale      string    `json:"x_scale,omitempty"`
	YScale      string    `json:"y_scale,omitempty"`
}

// ChartElement is one line, bar, wedge, box or sub-chart. Value is a decimal number as text, as published clients have
// it.
type ChartElement struct {
	Label         string      `json:"label,omitempty"`
	Points        [][]float64 `json:"points,omitempty"` // of a line or scatter: x and y of each
	Group         string      `json:"group,omitempty"`
	Value         string      `json:"value,omitempty"`
	Angle         *float64    `json:"angle,omitempty"` // degrees
	Radius        *float64    `json:"radius,omitempty"`
	Min           *float64    `json:"min,omitempty"`
	FirstQuartile *float64    `json:"first_quartile,omitempty"`
	Median        *float64    `json:"median,omitempty"`
	ThirdQuartile *float64    `json:"third_quartile,omitempty"`
	Max           *float64    `json:"max,omitempty"`
	Outliers      []float64   `json:"outliers,omitempty"`

	// Of a sub-chart. Sandlot: those below PNG are beyond the contract.
	Type   string `json:"type,omitempty"`
	Title  string `json:"title,omitempty"`
	XLabel string `json:"x_label,omitempty"`
	YLabel string `json:"y_label,omitempty"`
	PNG    string `json:"png,omitempty"`
	ChartAxes
	Elements []ChartElement `json:"elements,omitempty"`
}
