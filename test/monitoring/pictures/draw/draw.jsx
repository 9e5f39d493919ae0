// Draws the dashboard of window.drawing, with what Prometheus answered, where Grafana would.
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { firstValueFrom } from 'rxjs';
import {
  applyFieldOverrides, cacheFieldDisplayNames, createTheme, dateTime, identityOverrideProcessor, Registry, standardFieldConfigEditorRegistry, standardTransformers,
  standardTransformersRegistry, ThemeContext, transformDataFrame,
} from '@grafana/data';
import { GlobalStyles, PanelChrome } from '@grafana/ui';
import { frames } from './frames';
import { Bars, Graph, Stat, Table } from './panels';

const { dashboard, answers, annotations, variables, from, to, step, light } = window.drawing;
const theme = createTheme({ colors: { mode: light ? 'light' : 'dark' } });
const range = { from: dateTime(from * 1000), to: dateTime(to * 1000), raw: { from: 'now-24h', to: 'now' } };

standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer].map((transformation) => ({ id: transformation.id, name: transformation.name, transformation: async () => transformation })),
);

// The properties that fields of this dashboard have, each taken as it stands.
const property = (id, isCustom) => ({ id: isCustom ? `custom.${id}` : id, path: id, name: id, isCustom, process: identityOverrideProcessor, shouldApply: () => true });
const custom = ['align', 'cellOptions', 'inspect', 'minWidth', 'drawStyle', 'lineInterpolation', 'lineWidth', 'fillOpacity', 'showPoints', 'spanNulls', 'stacking', 'thresholdsStyle'];
const properties = () => [
  ...['unit', 'decimals', 'min', 'max', 'noValue', 'color', 'mappings', 'thresholds', 'displayName', 'links'].map((id) => property(id, false)),
  ...custom.map((id) => property(id, true)),
];
standardFieldConfigEditorRegistry.setInit(properties);
const registry = new Registry(properties);

// replace puts variables' values in, and what a cell's link says of its row.
function replace(text, scoped = {}, format) {
  return text.replace(/\$(\w+)|\${([^}:]+)(?::(\w+))?}/g, (whole, short, long, how) => {
    const name = short ?? long;
    if (how === 'queryparam') return `var-${name}=${encodeURIComponent(variables[name] ?? '')}`;
    const row = scoped.__dataContext?.value;
    if (name === '__value.raw' && row) return encode(row.field.values[row.rowIndex], how);
    const label = name.match(/^__data\.fields\.(\w+)$/)?.[1];
    if (label && row) {
      const field = row.frame.fields.find((f) => f.name === label || f.config.displayName === label);
      return field ? encode(field.values[row.rowIndex], how) : whole;
    }
    if (name === '__url_time_range') return 'from=now-24h&to=now';
    return variables[name] ?? whole;
  });
}
const encode = (value, how) => (how === 'percentencode' ? encodeURIComponent(value) : String(value));

async function load(panel) {
  const shape = { queries: panel.targets.length, step };
  let data = panel.targets.flatMap((target) => frames(target, answers[`${panel.id}/${target.refId}`], shape));
  if (panel.transformations) {
    data = await firstValueFrom(transformDataFrame(panel.transformations, data, { interpolate: replace }));
  }
  data = applyFieldOverrides({ data, fieldConfig: panel.fieldConfig, replaceVariables: replace, theme, timeZone: 'utc', fieldConfigRegistry: registry });
  cacheFieldDisplayNames(data);
  return data;
}

const kinds = { stat: Stat, timeseries: Graph, bargauge: Bars, table: Table };
const context = { theme, range, timeZone: 'utc', replace };
const lines = { colour: dashboard.annotations.list[0].iconColor, times: annotations };

function Content({ panel, width, height }) {
  const [data, setData] = useState();
  const [problem, setProblem] = useState();
  useEffect(() => void load(panel).then(setData, (e) => setProblem(String(e.stack))), []);
  if (problem) return <pre className="problem">{problem}</pre>;
  if (!data) return null;
  const Kind = kinds[panel.type];
  const empty = !data.some((frame) => frame.length > 0);
  return (
    <div data-drawn style={{ width, height, display: 'grid', placeItems: empty ? 'center' : undefined, color: theme.colors.text.secondary }}>
      {empty ? panel.fieldConfig.defaults.noValue ?? 'No data' : <Kind {...{ panel, data, width, height, context, lines }} />}
    </div>
  );
}

// Grafana's grid: 24 columns, lines of 30 pixels, 8 between.
const column = (window.innerWidth - 16 + 8) / 24;
const place = ({ x, y, w, h }) => ({ position: 'absolute', left: 8 + x * column, top: 8 + y * 38, width: w * column - 8, height: h * 38 - 8 });

function Dashboard() {
  const bottom = Math.max(...dashboard.panels.map(({ gridPos: { y, h } }) => y + h));
  return (
    <div id="dashboard" style={{ position: 'relative', height: 8 + bottom * 38 }}>
      {dashboard.panels.map((panel) => {
        const at = place(panel.gridPos);
        if (panel.type === 'row') {
          return <h2 key={panel.id} style={{ ...at, ...theme.typography.h5, margin: 0, lineHeight: '30px' }}>{panel.title}</h2>;
        }
        return (
          <div key={panel.id} data-title={panel.title} style={at}>
            <PanelChrome title={panel.title} description={panel.description} width={at.width} height={at.height} padding={panel.type === 'table' ? 'none' : 'md'}>
              {(width, height) => <Content panel={panel} width={width} height={height} />}
            </PanelChrome>
          </div>
        );
      })}
    </div>
  );
}

document.body.style.background = theme.colors.background.canvas;
createRoot(document.getElementById('root')).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <Dashboard />
  </ThemeContext.Provider>,
);
