// Panels, drawn by the components of which Grafana's own plugins stat, timeseries,
// bargauge and table consist. What these plugins add is here: which component gets what.
import { FieldType, getDisplayValueAlignmentFactors, getFieldDisplayValues, VizOrientation } from '@grafana/data';
import { BarGauge, BigValue, BigValueTextMode, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

export function Stat({ panel, data, width, height, context }) {
  const { options } = panel;
  return (
    <VizRepeater
      getValues={() => values(panel, data, context)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, alignmentFactors, width, height, count }) => (
        <BigValue
          value={value.display} alignmentFactors={alignmentFactors} count={count} width={width} height={height} theme={context.theme}
          colorMode={options.colorMode} graphMode={options.graphMode} justifyMode={options.justifyMode} wideLayout={options.wideLayout}
          textMode={options.textMode === 'auto' && count === 1 ? BigValueTextMode.Value : options.textMode}
        />
      )}
      width={width} height={height} source={data} autoGrid orientation={VizOrientation.Auto} renderCounter={0}
    />
  );
}

export function Bars({ panel, data, width, height, context }) {
  const { options } = panel;
  return (
    <VizRepeater
      getValues={() => values(panel, data, context)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, alignmentFactors, orientation, width, height, count }) => (
        <BarGauge
          value={value.display} field={value.field} display={value.view?.getFieldDisplayProcessor?.(value.colIndex ?? 0)}
          alignmentFactors={alignmentFactors} width={width} height={height} orientation={orientation} theme={context.theme} itemSpacing={8} text={options.text}
          displayMode={options.displayMode} showUnfilled={options.showUnfilled} valueDisplayMode={options.valueMode} namePlacement={options.namePlacement}
          isOverflow={count * 30 > height}
        />
      )}
      width={width} height={height} source={data} orientation={options.orientation} itemSpacing={8} renderCounter={0}
      minVizWidth={options.minVizWidth} minVizHeight={options.minVizHeight} maxVizHeight={options.maxVizHeight}
    />
  );
}

function values(panel, data, { replace, theme, timeZone }) {
  return getFieldDisplayValues({ fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: replace, theme, data, timeZone });
}

// Graph has a dashed line at each time of lines, as Grafana's has for annotations.
export function Graph({ panel, data, width, height, context, lines }) {
  const annotate = (builder) => {
    builder.addHook('draw', (u) => {
      u.ctx.save();
      u.ctx.strokeStyle = lines.colour;
      u.ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
      for (const time of lines.times.filter((time) => time >= u.scales.x.min && time <= u.scales.x.max)) {
        const x = Math.round(u.valToPos(time, 'x', true));
        u.ctx.beginPath();
        u.ctx.moveTo(x, u.bbox.top);
        u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
        u.ctx.stroke();
      }
      u.ctx.restore();
    });
    return null;
  };
  const structure = data.filter((frame) => frame.fields.some((field) => field.type === FieldType.number));
  return (
    <TimeSeries frames={structure} width={width} height={height} timeRange={context.range} timeZone={context.timeZone} legend={panel.options.legend} options={panel.options}>
      {annotate}
    </TimeSeries>
  );
}

export function Table({ panel, data, width, height, context }) {
  return (
    <TableNG
      data={data[0]} width={width} height={height} sortBy={panel.options.sortBy} cellHeight={panel.options.cellHeight} noHeader={!panel.options.showHeader}
      fieldConfig={panel.fieldConfig} timeRange={context.range} enableVirtualization={false} structureRev={1}
    />
  );
}
