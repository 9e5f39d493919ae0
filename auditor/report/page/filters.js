// mostOptions is how many changes the choice of one lists: those that most workloads have.
const mostOptions = 200;

// refilter draws what the filters leave, from the top, and puts the filters into the address.
function refilter() {
  view.pinned = undefined;
  drawRows();
  history.replaceState(null, '', address() || location.pathname + location.search);
}

const filtered = () => view.words.length > 0 || view.states.size > 0 || [view.group, view.change, view.label].some((chosen) => chosen !== undefined);

// address is the filters as the part of an address that leads to what they leave.
function address() {
  const query = new URLSearchParams();
  if (view.words.length > 0) query.set('search', view.words.join(' '));
  for (const state of view.states) query.append('state', state);
  if (view.group !== undefined) query.set('namespace', view.group);
  if (view.change !== undefined) query.set('change', view.change);
  if (view.label !== undefined) query.set('label', view.label.join('='));
  return filtered() ? '#?' + query : '';
}

// readAddress takes the filters from the address, if it has some.
function readAddress() {
  if (!location.hash.startsWith('#?')) return false;
  const query = new URLSearchParams(location.hash.slice(2));
  const [key, ...value] = (query.get('label') || '').split('=');
  setFilters({
    words: wordsOf(query.get('search') || ''), states: new Set(query.getAll('state')), group: query.get('namespace') ?? undefined,
    change: query.get('change') ?? undefined, label: query.has('label') ? [key, value.join('=')] : undefined,
  });
  return true;
}

const wordsOf = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

// setFilters filters by these alone.
function setFilters({ words = [], states = new Set(), group, change, label }) {
  $('search').value = words.join(' ');
  Object.assign(view, { words, states, group, change, label });
  keepFocus(drawNamespaces);
  keepFocus(drawChanges);
  drawFilters();
  refilter();
}

const clearFilters = () => setFilters({});

// showOnly leaves what the filters leave, and leads there.
function showOnly(filters) {
  setFilters(filters);
  $('table').focus({ preventScroll: true });
  $('workloads').scrollIntoView({ block: 'start' });
}

function drawFilters() {
  keepFocus(drawChips);
  drawChangeChoice();
  drawLabelChoice();
}

function drawChips() {
  const counts = {};
  for (const { item } of rows) counts[item.state] = (counts[item.state] || 0) + 1;
  const present = [...new Set([...Object.keys(counts), ...view.states])].sort((a, b) => severity(a) - severity(b));
  const chips = present.map((state) => el('button', {
    type: 'button', class: 'chip', title: known(state).meaning, 'aria-pressed': String(view.states.has(state)), 'data-state': state,
    click: () => {
      if (!view.states.delete(state)) view.states.add(state);
      keepFocus(drawChips);
      refilter();
    },
  }, mark(state), `${printable(state)} `, el('b', {}, numbers.format(counts[state] || 0))));
  if (view.group !== undefined) {
    chips.push(el('button', { type: 'button', class: 'chip', 'aria-pressed': 'true', click: () => chooseGroup(undefined) },
      `namespace ${printable(view.group)} ×`));
  }
  if (view.change !== undefined || view.label !== undefined) {
    chips.push(el('button', { type: 'button', class: 'chip', id: 'clear', click: () => { clearFilters(); $('search').focus(); } }, 'Clear filters ×'));
  }
  $('chips').replaceChildren(...chips);
}

function choice(id, options, chosen) {
  $(id).replaceChildren(...options);
  $(id).value = chosen ?? '';
  $(id).parentNode.hidden = options.length < 2;
}

function drawChangeChoice() {
  const changes = page.report.changes || [];
  const options = changes.slice(0, mostOptions).map((change, i) => [change, i]);
  const at = changes.findIndex((change) => change.id === view.change);
  if (at >= mostOptions) options.push([changes[at], at]);
  const known = options.map(([change, i]) => el('option', { value: change.id }, `#${i + 1} ${brief(change.summary, 80)} (${numbers.format(change.workloads)})`));
  if (view.change !== undefined && at < 0) known.push(el('option', { value: view.change }, `${brief(view.change)} (0)`));
  choice('by-change', [el('option', { value: '' }, 'any'), ...known], view.change);
}

function drawLabelChoice() {
  const keys = new Map();
  for (const { item } of rows) {
    for (const key of Object.keys(item.labels || {})) if (!keys.has(key)) keys.set(key, new Map());
  }
  for (const [key, values] of keys) {
    for (const { item } of rows) {
      const value = item.labels?.[key] ?? '';
      values.set(value, (values.get(value) || 0) + 1);
    }
  }
  if (view.label !== undefined && !keys.get(view.label[0])?.has(view.label[1])) keys.set(view.label[0], new Map([...(keys.get(view.label[0]) || []), [view.label[1], 0]]));
  const groups = [...keys].sort(([a], [b]) => collator.compare(a, b)).map(([key, values]) => el('optgroup', { label: printable(key) },
    [...values].sort(([a], [b]) => (a === '') - (b === '') || collator.compare(a, b)).map(([value, n]) =>
      el('option', { value: JSON.stringify([key, value]) }, `${value === '' ? `no ${printable(key)}` : brief(value)} (${numbers.format(n)})`))));
  choice('by-label', [el('option', { value: '' }, 'any'), ...groups], view.label && JSON.stringify(view.label));
}

function startFilters() {
  $('by-change').addEventListener('change', (event) => {
    view.change = event.target.value || undefined;
    keepFocus(drawChanges);
    drawChips();
    refilter();
  });
  $('by-label').addEventListener('change', (event) => {
    view.label = event.target.value ? JSON.parse(event.target.value) : undefined;
    drawChips();
    refilter();
  });
  $('search').addEventListener('input', () => {
    view.words = wordsOf($('search').value);
    refilter();
  });
}
