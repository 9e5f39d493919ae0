// fewLanes is how many changes the timeline has before somebody asks for all.
const fewLanes = 8;
const day = 86400e3;
const ranges = [['24 h', day], ['7 days', 7 * day], ['30 days', 30 * day], ['all', Infinity]];

// drawTimeline draws the drift so far, and below it since when, and for how long, changes were
// there, in one range of time.
function drawTimeline() {
  const entries = page.journal || [];
  const points = page.history || [];
  $('timeline').hidden = points.length < 2 && entries.length === 0;
  if ($('timeline').hidden) return;
  const now = Math.max(Date.parse(page.report.generatedAt), ...points.map((point) => Date.parse(point.time)));
  const first = Math.min(now, ...points.map((point) => Date.parse(point.time)), ...entries.map((entry) => Date.parse(entry.began.by)));
  const lasted = (entry, from) => !entry.ended || Date.parse(entry.ended.at) >= from;
  const useful = ranges.filter(([, length], i) => i === 0 || now - first > ranges[i - 1][1]);
  // At first one in which a change began.
  const began = entries.length > 0 ? now - Date.parse(entries[0].began.by) : Infinity;
  const [name, length] = useful.find(([label]) => label === view.range) || useful.find(([, length]) => length > began) || useful.at(-1);
  const from = Math.max(first, now - length);
  $('ranges').replaceChildren(...(useful.length < 2 ? [] : useful.map(([label]) => el('button', {
    type: 'button', class: 'chip', 'aria-pressed': String(label === name), 'data-range': label,
    click: () => {
      view.range = label;
      keepFocus(drawTimeline);
    },
  }, label))));
  drawHistory(points.filter((point) => Date.parse(point.time) >= from), from, now);
  drawLanes(entries.filter((entry) => lasted(entry, from)), from, now);
  $('axis').replaceChildren(el('span', {}, el('time', {}, absolute(from).slice(0, 16)), el('time', {}, absolute(now).slice(0, 16))));
}

const shape = (name, attributes) => {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};

// drawHistory draws the drift as a line; the pointer and the arrow keys read it.
function drawHistory(points, from, to) {
  $('history').hidden = points.length < 2;
  if (points.length < 2) return;
  const [width, height] = [600, 120];
  const span = Math.max(1, to - from);
  const top = Math.min(100, Math.max(1, ...points.map((point) => point.driftPercent)) * 1.1);
  const x = (point) => (Date.parse(point.time) - from) / span * width;
  const y = (point) => height - point.driftPercent / top * height;
  const line = points.map((point) => `${x(point).toFixed(1)},${y(point).toFixed(1)}`).join(' L');
  const highest = points.reduce((a, b) => b.driftPercent > a.driftPercent ? b : a);
  const whole = `${percent(points[0].driftPercent)} at first, ${percent(points.at(-1).driftPercent)} now, at most ${percent(highest.driftPercent)}`;
  // A slider, as the arrow keys move what it reads.
  const svg = painted(shape('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'slider', tabindex: 0,
    'aria-label': `Drift since ${absolute(points[0].time)}: ${whole}`, 'aria-valuemin': 0, 'aria-valuemax': points.length - 1 }), 'Drifted');
  const rule = shape('line', { class: 'rule', y1: 0, y2: height, x1: -9, x2: -9 });
  svg.append(shape('path', { class: 'area', d: `M${x(points[0]).toFixed(1)},${height} L${line} L${x(points.at(-1)).toFixed(1)},${height} Z` }), shape('path', { class: 'line', d: 'M' + line }), rule);
  let at = points.length - 1;
  const says = () => `${percent(points[at].driftPercent)} at ${absolute(points[at].time)}`;
  const stand = () => {
    svg.setAttribute('aria-valuenow', at);
    svg.setAttribute('aria-valuetext', says());
  };
  const read = (index) => {
    at = Math.max(0, Math.min(points.length - 1, index));
    rule.setAttribute('x1', x(points[at]));
    rule.setAttribute('x2', x(points[at]));
    stand();
    $('history-text').textContent = says();
  };
  const rest = () => {
    rule.setAttribute('x1', -9);
    rule.setAttribute('x2', -9);
    $('history-text').textContent = whole;
  };
  svg.addEventListener('pointermove', (event) => {
    const box = svg.getBoundingClientRect();
    const pointed = (event.clientX - box.left) / box.width * width;
    read(points.reduce((best, point, i) => Math.abs(x(point) - pointed) < Math.abs(x(points[best]) - pointed) ? i : best, 0));
  });
  svg.addEventListener('pointerleave', rest);
  svg.addEventListener('blur', rest);
  svg.addEventListener('keydown', (event) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: points.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    read(to);
  });
  stand();
  $('history-chart').replaceChildren(svg);
  rest();
}

const ends = { RolledOut: 'rolled out everywhere', TakenBack: 'taken back', Superseded: 'superseded', Gone: 'its workloads are gone' };

// drawLanes draws each change as a bar from when it began until it ended.
function drawLanes(entries, from, to) {
  const shown = view.allLanes ? entries : entries.slice(0, fewLanes);
  const at = (time) => Math.max(0, Math.min(100, 100 * (Date.parse(time) - from) / Math.max(1, to - from)));
  $('lanes').hidden = entries.length === 0;
  $('lanes').replaceChildren(...shown.map((entry) => el('li', {}, el('div', {}, laneName(entry), entry.by ? el('p', { class: 'lane-by muted', title: printable(entry.by) }, brief(entry.by, 200)) : ''), laneBar(entry, at), laneText(entry))));
  $('lanes-more').hidden = shown.length === entries.length;
  $('lanes-more').textContent = `Show all ${numbers.format(entries.length)}`;
}

// laneName leads to the workloads that have a change, where some do.
function laneName(entry) {
  const at = (page.report.changes || []).findIndex((change) => change.id === entry.id);
  const summary = brief(entry.summary, 120);
  return at < 0 ? el('span', { class: 'lane-name', title: printable(entry.summary) }, summary) : el('button', {
    type: 'button', class: 'lane-name link', title: printable(entry.summary), 'data-lane': entry.id, click: () => showOnly({ change: entry.id }),
  }, el('b', {}, `#${at + 1} `), summary);
}

function laneBar(entry, at) {
  const end = entry.ended ? at(entry.ended.at) : 100;
  const place = (name, left, right) => {
    const piece = el('span', { class: name });
    piece.style.left = `${left}%`;
    piece.style.width = `${Math.max(0, right - left)}%`;
    return piece;
  };
  const began = at(entry.began.by);
  return el('span', { class: 'lane', 'aria-hidden': 'true' },
    entry.began.after ? place('maybe', at(entry.began.after), began) : '',
    place(entry.ended ? 'ended' : 'lasts', began, end),
    entry.half ? place('half', at(entry.half), at(entry.half)) : '');
}

function laneText(entry) {
  const { done, text } = healing(entry);
  const [began, reach] = [absolute(entry.began.by).slice(0, 16), count(entry.reach.workloads, 'workload')];
  const says = entry.ended ? `${began} to ${absolute(entry.ended.at).slice(5, 16)}: ${ends[entry.ended.how] || printable(entry.ended.how)}` :
    `since ${began}: ${done} % of ${reach} healed`;
  return el('span', { class: 'lane-text muted', title: entry.ended ? `${reach}: ${text}` : text }, says);
}
