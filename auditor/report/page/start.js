// drawHistory draws the drift so far as a line; the pointer and the arrow keys
// read it.
function drawHistory() {
  const points = page.history || [];
  $('history').hidden = points.length < 2;
  if (points.length < 2) return;
  const [width, height] = [600, 120];
  const first = Date.parse(points[0].time);
  const span = Math.max(1, Date.parse(points.at(-1).time) - first);
  const top = Math.min(100, Math.max(1, ...points.map((point) => point.driftPercent)) * 1.1);
  const x = (point) => (Date.parse(point.time) - first) / span * width;
  const y = (point) => height - point.driftPercent / top * height;
  const line = points.map((point) => `${x(point).toFixed(1)},${y(point).toFixed(1)}`).join(' L');
  const shape = (name, attributes) => {
    const node = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const highest = points.reduce((a, b) => b.driftPercent > a.driftPercent ? b : a);
  const whole = `${percent(points[0].driftPercent)} at first, ${percent(points.at(-1).driftPercent)} now, at most ${percent(highest.driftPercent)}`;
  const svg = painted(shape('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', tabindex: 0,
    'aria-label': `Drift since ${absolute(points[0].time)}: ${whole}` }), 'Drifted');
  const rule = shape('line', { class: 'rule', y1: 0, y2: height, x1: -9, x2: -9 });
  svg.append(shape('path', { class: 'area', d: `M0,${height} L${line} L${width},${height} Z` }), shape('path', { class: 'line', d: 'M' + line }), rule);
  let at = points.length - 1;
  const read = (index) => {
    at = Math.max(0, Math.min(points.length - 1, index));
    rule.setAttribute('x1', x(points[at]));
    rule.setAttribute('x2', x(points[at]));
    $('history-text').textContent = `${percent(points[at].driftPercent)} at ${absolute(points[at].time)}`;
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
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    read(at + step);
  });
  $('history-chart').replaceChildren(svg, el('p', { class: 'axis muted' },
    el('span', {}, absolute(points[0].time).slice(0, 16)), el('span', {}, absolute(points.at(-1).time).slice(0, 16))));
  rest();
}

function drawTime() {
  const time = page.report.generatedAt;
  $('generated').replaceChildren('Audited ', el('time', { datetime: time }, `${absolute(time)}, ${relative(time)}`));
  drawDetection();
}

// drawDetection says how soon the daemon sees a change. What was measured grows while no
// audit ends.
function drawDetection() {
  const { detection, generatedAt } = page.report;
  $('detection').hidden = !detection;
  if (!detection) return;
  const since = Math.max(0, (Date.now() - Date.parse(generatedAt)) / 1000);
  // A feature may have been due just when audits began to fail.
  const seen = since > detection.sharedSeconds ? since + detection.sharedSeconds : detection.sharedSeconds;
  const shared = detection.features === 0 ? '' :
    `A change that several workloads share is seen within ${span(seen)} (${count(detection.features, 'feature')}); `;
  const each = `every workload was asked about within ${span(detection.oldestAnswerSeconds + since)}.`;
  $('detection').textContent = shared + (shared ? each : each[0].toUpperCase() + each.slice(1));
}

function draw() {
  drawTime();
  drawBlocked();
  drawSummary();
  drawChanges();
  drawWaves();
  drawHistory();
  keepFocus(drawNamespaces);
  keepFocus(drawChips);
  drawRows();
}

// refresh fetches newer data, and leaves the search, what is open and the
// focus as they are.
async function refresh() {
  try {
    const response = await fetch(page.live.url, { cache: 'no-cache', headers: { Accept: 'application/json' } });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const data = await response.json();
    if (data.report.generatedAt !== page.report.generatedAt) {
      load({ ...data, live: page.live });
      draw();
    }
    say('live', 'Live');
  } catch (error) {
    say('stale', `Not live: the auditor does not answer (${printable(error.message)})`);
  }
  setTimeout(refresh, 1000 * page.live.everySeconds);
}

function say(name, text) {
  if ($('status').textContent === text) return; // or a screen reader says it each time
  $('status').className = name;
  $('status').textContent = text;
}

function startTheme() {
  const stored = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
  const theme = stored();
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
}

const dark = () => (document.documentElement.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';

function nameTheme() {
  $('theme').textContent = dark() ? 'Light theme' : 'Dark theme';
}

function switchTheme() {
  const theme = dark() ? 'light' : 'dark';
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem('theme', theme); } catch { /* a page that may store nothing forgets it */ }
  nameTheme();
}

function onKey(event) {
  const writing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === '/' && !writing) {
    event.preventDefault();
    $('search').focus();
    $('search').select();
  } else if (event.key === 'Escape' && event.target === $('search') && view.words.length > 0) {
    $('search').value = '';
    search();
  }
}

// onRowKey moves between workloads and closes them.
function onRowKey(event) {
  const line = event.target.closest('#rows > tr');
  const button = line && (line.querySelector('button.open') || line.previousElementSibling.querySelector('button.open'));
  if (!button) return;
  if (event.key === 'Escape' && view.open.has(button.dataset.key)) {
    button.focus();
    toggle(button.dataset.key, false);
  } else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && event.target === button) {
    const all = [...document.querySelectorAll('button.open')];
    const next = all[all.indexOf(button) + (event.key === 'ArrowDown' ? 1 : -1)];
    if (next) next.focus();
    event.preventDefault();
  }
}

function search() {
  view.words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  refilter();
}

// onRow opens or closes the workload whose row was clicked; a click that ends
// a selection of text does not.
function onRow(event) {
  const line = event.target.closest('tr.row');
  if (line && (event.target.closest('button') || getSelection().isCollapsed)) toggle(line.dataset.key);
}

function onSort(event) {
  const by = event.currentTarget.dataset.sort;
  view.descending = view.sort === by ? !view.descending : by === 'pods';
  view.sort = by;
  sortRows();
  refilter();
}

function start() {
  states = JSON.parse($('states').textContent);
  load(JSON.parse($('data').textContent));
  $('data').remove();
  document.querySelector('main').hidden = false;
  draw();
  nameTheme();
  $('theme').addEventListener('click', switchTheme);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', nameTheme);
  $('search').addEventListener('input', search);
  $('more').addEventListener('click', () => {
    const last = [...document.querySelectorAll('button.open')].at(-1);
    view.limit += chunk;
    drawRows();
    buttonOf(last.dataset.key).focus({ preventScroll: true });
  });
  $('namespaces-more').addEventListener('click', () => {
    view.allNamespaces = true;
    drawNamespaces();
  });
  $('changes-more').addEventListener('click', () => {
    view.allChanges = true;
    drawChanges();
  });
  for (const button of document.querySelectorAll('[data-sort]')) button.addEventListener('click', onSort);
  $('rows').addEventListener('click', onRow);
  $('rows').addEventListener('keydown', onRowKey);
  document.addEventListener('keydown', onKey);
  addEventListener('hashchange', follow);
  setInterval(drawTime, 30000);
  follow();
  if (page.live) {
    say('live', 'Live');
    setTimeout(refresh, 1000 * page.live.everySeconds);
  }
}

startTheme(); // before anything is drawn
document.addEventListener('DOMContentLoaded', start);
