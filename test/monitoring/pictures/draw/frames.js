// What Grafana's data source for Prometheus makes of answers: data frames.
import { FieldType, toDataFrame } from '@grafana/data';

const number = (text) => (text === 'NaN' ? NaN : text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text));

const fill = (format, labels) => format.replace(/{{\s*(\w+)\s*}}/g, (_, name) => labels[name] ?? '').trim();

const samples = (series) => series.values ?? [series.value];

// frames of one query: a frame for each series, or one table with a column for each label.
export function frames(target, answer, { queries, step }) {
  if (target.format === 'table') {
    return [table(target, answer.result, queries > 1 ? `Value #${target.refId}` : 'Value')];
  }
  return answer.result.map((series) => {
    const { __name__, ...labels } = series.metric;
    const name = target.legendFormat ? fill(target.legendFormat, labels) : undefined;
    return toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: samples(series).map(([time]) => time * 1000), config: { interval: step * 1000 } },
        { name: 'Value', type: FieldType.number, labels, values: samples(series).map(([, text]) => number(text)), config: { displayNameFromDS: name } },
      ],
    });
  });
}

function table(target, result, value) {
  const labels = [...new Set(result.flatMap((series) => Object.keys(series.metric)))].filter((name) => name !== '__name__').sort();
  const rows = result.map((series) => ({ labels: series.metric, at: samples(series)[0] }));
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: rows.map((row) => row.at[0] * 1000) },
      ...labels.map((name) => ({ name, type: FieldType.string, values: rows.map((row) => row.labels[name] ?? '') })),
      { name: value, type: FieldType.number, values: rows.map((row) => number(row.at[1])) },
    ],
  });
}
