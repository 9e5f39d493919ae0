// What a dashboard's JSON is, in the words of Grafana's schema.
import type { AnnotationQuery, Dashboard as Model, FieldConfigSource, Panel, RowPanel, TableFieldOptions, TableOptions } from '@grafana/schema';
import type { Options as BarGauge } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { FieldConfig as Graph, Options as TimeSeries } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// The schema's enums of strings do not accept their values, which JSON is made of:
// take the values for them.
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

// In the model, options and fields' custom settings are anything, and so are queries.
type Of<Type extends string, Options, Custom = never> = Omit<Plain<Panel>, 'type' | 'options' | 'fieldConfig' | 'targets' | 'title' | 'description'> & {
  type: Type;
  title: string;
  description: string;
  options: Plain<Options>;
  fieldConfig: Omit<Plain<FieldConfigSource>, 'defaults'> & {
    defaults: Omit<Plain<FieldConfigSource>['defaults'], 'custom'> & { custom?: Plain<Custom>; unit: string; thresholds: unknown };
  };
  targets: Query[];
};

// Of the data source Prometheus, whose types the package does not hold.
interface Query {
  refId: string;
  datasource: { type: 'prometheus'; uid: string };
  expr: string;
  legendFormat: string;
  instant: boolean;
  range: boolean;
  format?: 'table' | 'time_series' | 'heatmap';
}

// Of the data source Prometheus, too, whose own fields stand beside those of all annotations.
type Annotation = Omit<Plain<AnnotationQuery>, 'target'> & {
  expr: string;
  step: string;
  useValueForTime: boolean;
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
};

export type Dashboard = Omit<Plain<Model>, 'panels' | 'annotations'> & {
  annotations: { list: Annotation[] };
  panels: Array<Plain<RowPanel> | Of<'stat', Stat> | Of<'timeseries', TimeSeries, Graph> | Of<'bargauge', BarGauge> | Of<'table', TableOptions, TableFieldOptions>>;
};
