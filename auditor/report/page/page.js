// chunk is how many rows are added to the table at a time.
const chunk = 100;
// manyNamespaces is how many bars are drawn before somebody asks for all.
const manyNamespaces = 12;
// fewChanges is how many changes are listed before somebody asks for all.
const fewChanges = 5;

const $ = (id) => document.getElementById(id);
const collator = new Intl.Collator('en', { numeric: true });

let page;
// A row is a workload of the report, with what the table needs to know of it.
let rows = [];
const view = {
  words: [], states: new Set(), group: undefined, sort: 'state', descending: false,
  limit: chunk, open: new Set(), pinned: undefined, allNamespaces: false, allChanges: false,
};

function keyOf(item) {
  const names = [item.namespace, item.kind, item.name];
  if (item.cluster) names.unshift(item.cluster);
  return names.map(encodeURIComponent).join('/');
}

const groupOf = (item) => item.cluster ? `${item.cluster} / ${item.namespace}` : item.namespace;

// textOf is what a search looks through: names, states, reasons, changes.
function textOf(row) {
  if (row.text === undefined) {
    const { item } = row;
    const words = [item.cluster, `${item.namespace}/${item.name}`, `${item.kind}/${item.name}`, item.state, row.details, item.rollout.reason];
    for (const revision of item.revisions) {
      words.push(revision.name, revision.reason, ...revision.sidecars);
      for (const change of revision.changes) words.push(change.id || '', change.part, change.path, change.spent ? 'spent' : '', ...linesOf(change.from), ...linesOf(change.to));
    }
    row.text = words.join('\n').toLowerCase();
  }
  return row.text;
}

const orders = {
  state: (a, b) => severity(a.item.state) - severity(b.item.state),
  namespace: (a, b) => collator.compare(a.group, b.group),
  kind: (a, b) => collator.compare(a.item.kind, b.item.kind),
  name: (a, b) => collator.compare(a.item.name, b.item.name),
  pods: (a, b) => a.pods - b.pods,
  details: (a, b) => (a.details === '') - (b.details === '') || collator.compare(a.details, b.details),
};

// load takes a page's data, and puts each change where its index stands.
function load(data) {
  page = data;
  for (const revision of page.report.items.flatMap((item) => item.revisions)) {
    revision.changes = revision.changes.map((index) => page.changes[index]);
    revision.autoscaled = revision.autoscaled?.map((index) => page.changes[index]);
  }
  rows = page.report.items.map((item, order) => ({
    item, order, key: keyOf(item), group: groupOf(item), pods: podsOf(item), details: page.details[order],
  }));
  sortRows();
}

function sortRows() {
  const sign = view.descending ? -1 : 1;
  rows.sort((a, b) => sign * orders[view.sort](a, b) || a.order - b.order);
  for (const button of document.querySelectorAll('[data-sort]')) {
    const direction = view.descending ? 'descending' : 'ascending';
    if (button.dataset.sort === view.sort) button.parentNode.setAttribute('aria-sort', direction);
    else button.parentNode.removeAttribute('aria-sort');
  }
}

function matching() {
  const found = rows.filter((row) => (view.states.size === 0 || view.states.has(row.item.state)) &&
    (view.group === undefined || row.group === view.group) && view.words.every((word) => textOf(row).includes(word)));
  const pinned = rows.find((row) => row.key === view.pinned);
  return pinned ? [pinned, ...found.filter((row) => row !== pinned)] : found;
}

// podsText is the number of Pods, or "1/3" where only one of three is in the
// workload's own state.
function podsText({ item, pods }) {
  const worst = item.pods[item.state] || 0;
  return worst === pods || worst === 0 ? numbers.format(pods) : `${numbers.format(worst)}/${numbers.format(pods)}`;
}

function rowNodes(row) {
  const { item } = row;
  const open = view.open.has(row.key);
  const id = 'detail-' + row.order;
  const button = el('button', { type: 'button', class: 'open', 'aria-expanded': String(open), 'aria-controls': open ? id : undefined, 'data-key': row.key, title: whole(item.name) },
    brief(item.name));
  const line = el('tr', { class: open ? 'row opened' : 'row', 'data-key': row.key },
    el('td', { class: 'c-state' }, badge(item.state)), el('td', { class: 'c-namespace' }, printable(row.group)),
    el('td', { class: 'c-kind', title: whole(item.kind, longestKind) }, brief(item.kind, longestKind)), el('th', { scope: 'row', class: 'c-name' }, button),
    el('td', { class: 'c-pods' }, podsText(row), el('span', { class: 'unit' }, row.pods === 1 ? ' Pod' : ' Pods')),
    el('td', { class: 'c-details' }, el('span', {}, onlySpent(item) ? spentTag() : '', printable(row.details))));
  return open ? [line, el('tr', { class: 'opened', id }, el('td', { colspan: 6 }, workloadDetail(item)))] : [line];
}

function drawRows() {
  const focused = document.activeElement?.dataset?.key;
  const found = matching();
  const shown = found.slice(0, view.limit);
  $('rows').replaceChildren(...shown.flatMap(rowNodes));
  if (focused) buttonOf(focused)?.focus({ preventScroll: true });
  const filtered = found.length < rows.length;
  $('shown').textContent = found.length === 0 ? '' :
    (shown.length < found.length ? `Showing ${numbers.format(shown.length)} of ` : '') +
    count(found.length, 'workload') + (filtered ? ` out of ${numbers.format(rows.length)}` : '');
  $('more').hidden = shown.length === found.length;
  $('more').textContent = `Show ${numbers.format(Math.min(chunk, found.length - shown.length))} more`;
  $('table').hidden = found.length === 0;
  $('search').parentNode.hidden = rows.length === 0;
  $('empty').hidden = found.length > 0;
  if (found.length === 0) drawEmpty();
}

function drawEmpty() {
  if (rows.length > 0) {
    $('empty').replaceChildren(el('p', {}, 'No workload matches.'),
      el('button', { type: 'button', class: 'quiet', click: () => { clearFilters(); $('search').focus(); } }, 'Clear the search and filters'));
    return;
  }
  const all = sum(Object.values(page.report.summary.workloads));
  $('empty').replaceChildren(el('p', {}, all > 0 ? 'No workload is in the states that were asked for.' : 'No workloads were selected.'));
}

const buttonOf = (key) => document.querySelector(`button.open[data-key="${CSS.escape(key)}"]`);

function toggle(key, open = !view.open.has(key)) {
  if (open) view.open.add(key);
  else view.open.delete(key);
  history.replaceState(null, '', open ? '#' + key : location.pathname + location.search);
  drawRows();
}

// follow opens the workload that the address names.
function follow() {
  const key = location.hash.slice(1).split('/').map((part) => {
    try { return encodeURIComponent(decodeURIComponent(part)); } catch { return part; }
  }).join('/');
  if (!rows.some((row) => row.key === key)) return;
  view.open.add(key);
  view.pinned = matching().slice(0, view.limit).some((row) => row.key === key) ? undefined : key;
  drawRows();
  buttonOf(key).focus({ preventScroll: true });
  buttonOf(key).closest('tr').scrollIntoView({ block: 'start' });
}

// refilter draws what the filters leave, from the top.
function refilter() {
  view.limit = chunk;
  view.pinned = undefined;
  drawRows();
}

function clearFilters() {
  $('search').value = '';
  view.words = [];
  view.states.clear();
  view.group = undefined;
  drawChips();
  drawNamespaces();
  refilter();
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
  $('chips').replaceChildren(...chips);
}

// keepFocus leaves the focus on the button of the same state or namespace.
function keepFocus(draw) {
  const { state, group } = document.activeElement?.dataset || {};
  draw();
  const again = [...document.querySelectorAll('[data-state], [data-group]')].find((node) =>
    state !== undefined && node.dataset.state === state || group !== undefined && node.dataset.group === group);
  again?.focus({ preventScroll: true });
}

function chooseGroup(group) {
  view.group = group;
  keepFocus(drawNamespaces);
  drawChips();
  refilter();
}

function namespaces() {
  const groups = new Map();
  for (const { item, group } of rows) {
    const found = groups.get(group) || { group, pods: {}, all: 0, blocked: 0, drifted: 0, counted: 0 };
    groups.set(group, found);
    for (const [state, n] of Object.entries(item.pods)) {
      found.pods[state] = (found.pods[state] || 0) + n;
      found.all += n;
      if (state === 'Blocked') found.blocked += n;
      if (known(state).drift) found.drifted += n;
      if (known(state).counted) found.counted += n;
    }
  }
  return [...groups.values()].sort((a, b) => b.blocked - a.blocked || b.drifted - a.drifted || b.all - a.all || collator.compare(a.group, b.group));
}

function drawNamespaces() {
  const all = namespaces();
  const shown = view.allNamespaces ? all : all.slice(0, manyNamespaces);
  $('namespaces').hidden = all.length === 0;
  $('namespace-bars').replaceChildren(...shown.map((found) => {
    const share = found.counted > 0 ? percent(100 * found.drifted / found.counted) : '–';
    const name = printable(found.group);
    return el('li', {}, el('button', {
      type: 'button', 'data-group': found.group, 'aria-pressed': String(view.group === found.group), title: byState(found.pods),
      'aria-label': `${name}: ${count(found.all, 'Pod')}, drift ${share}: ${byState(found.pods)}`,
      click: () => chooseGroup(view.group === found.group ? undefined : found.group),
    }, el('span', { class: 'bar-name' }, name), bar(found.pods), el('span', { class: 'bar-pods' }, count(found.all, 'Pod')), el('span', { class: 'bar-share' }, share)));
  }));
  $('namespaces-more').hidden = shown.length === all.length;
  $('namespaces-more').textContent = `Show all ${numbers.format(all.length)}`;
}

function drawSummary() {
  const { summary } = page.report;
  const pods = worstFirst(summary.pods);
  const of = (test) => sum(pods.filter(([state]) => test(known(state))).map(([, n]) => n));
  const [drifted, counted] = [of((state) => state.drift), of((state) => state.counted)];
  const blocked = summary.workloads.Blocked || 0;
  const clusters = page.report.clusters || [];
  const missing = clusters.filter((cluster) => cluster.error).length;
  $('percent').textContent = counted === 0 ? '–' : percent(summary.driftPercent);
  $('percent-text').textContent = missing > 0 ? `${missing} of ${count(clusters.length, 'cluster')} could not be audited. ` : '';
  $('percent-text').textContent += counted === 0 ? 'No Pod has a sidecar to judge.' :
    drifted === 0 && blocked === 0 ? `Nothing drifted: ${count(counted, 'Pod')} would be re-created as they are.` :
      `${numbers.format(drifted)} of ${count(counted, 'Pod')} would come back different if re-created now.`;
  $('drift').classList.toggle('calm', counted > 0 && drifted === 0 && blocked === 0 && missing === 0);
  $('total-bar').replaceChildren(pods.length > 0 ? bar(summary.pods) : '');
  $('legend').replaceChildren(el('li', { class: 'muted' }, count(sum(pods.map(([, n]) => n)), 'Pod')), ...pods.map(([state, n]) =>
    el('li', { title: known(state).meaning }, mark(state), `${printable(state)} `, el('b', {}, numbers.format(n)))));
  $('notes').replaceChildren(...notes().map((note) => el('li', {}, printable(note))));
}

function notes() {
  const { report } = page;
  const found = [];
  const pairs = (what, texts) => Object.entries(texts || {}).map(([key, value]) => `${what} ${key}=${value}`);
  for (const { webhook, candidate } of report.preview?.webhooks || []) found.push(`Preview: ${candidate} answered for ${webhook}.`);
  if (report.preview && !report.preview.webhooks) {
    const added = [...pairs('label', report.preview.labels), ...pairs('annotation', report.preview.annotations)];
    found.push(`Preview: as if every Pod had ${added.join(', ')}. None does yet.`);
  }
  if (report.dryRunAs) found.push(report.dryRunAs === 'controller' ? "Asked as the Pods' controllers." : 'Asked as the auditor itself, not as the Pods\' controllers.');
  found.push(...report.notes || []);
  if (report.ignoredPaths?.length) {
    const ignored = sum(report.items.flatMap((item) => item.revisions.map((revision) => revision.ignored || 0)));
    found.push(`Ignored: ${count(ignored, 'difference')} at ${report.ignoredPaths.join(', ')} (--ignore-path).`);
  }
  const hidden = { ...report.summary.workloads };
  for (const item of report.items) hidden[item.state]--;
  if (worstFirst(hidden).length > 0) found.push(`Left out with --state: ${byState(hidden)}.`);
  if (report.summary.notJudged > 0) found.push(`${count(report.summary.notJudged, 'Pod')} not judged: finished, being deleted or static.`);
  return found;
}

// drawChanges lists what workloads differ in, each once, those that most have first.
function drawChanges() {
  const changes = page.report.changes || [];
  const shown = view.allChanges ? changes : changes.slice(0, fewChanges);
  $('changes').hidden = changes.length === 0;
  $('change-list').replaceChildren(...shown.map((change, i) => {
    const reach = `${count(change.workloads, 'workload')}, ${count(change.pods, 'Pod')} in ${count(change.namespaces, 'namespace')}`;
    return el('li', {}, el('b', {}, `#${i + 1} `), printable(change.summary),
      el('div', { class: 'muted' },
        el('button', { type: 'button', class: 'quiet', 'data-change': change.id, 'aria-label': `Show ${reach} with change #${i + 1}`, click: () => showChange(change.id) }, reach),
        ` · ${printable(change.risk)}: ${printable(change.riskReason)}`,
        change.since ? el('span', { title: absolute(change.since) }, ` · since ${relative(change.since)}`) : '',
        ' · ', el('code', {}, printable(change.id))));
  }));
  $('changes-more').hidden = shown.length === changes.length;
  $('changes-more').textContent = `Show all ${numbers.format(changes.length)}`;
}

// showChange leaves only workloads with a change in the table.
function showChange(id) {
  clearFilters();
  $('search').value = id;
  view.words = [id];
  drawChips();
  refilter();
  $('table').focus();
}

// drawWaves shows how far changes are, where they are rolled out in waves.
function drawWaves() {
  const changes = page.report.waves || [];
  $('waves').hidden = changes.length === 0;
  $('wave-list').replaceChildren(...changes.map((change) => el('li', {},
    el('h3', {}, change.places.slice(0, 4).map((place) => printable(place)).join(', ') + (change.places.length > 4 ? ` and ${change.places.length + (change.morePlaces || 0) - 4} more` : ''),
      el('span', { class: 'muted', title: absolute(change.since) }, ` since ${relative(change.since)}`)),
    el('ol', { class: 'waves' }, change.waves.map((wave) => el('li', { 'data-phase': wave.phase },
      el('b', {}, printable(wave.name)), ` ${waveText(wave)}`))))));
}

function waveText(wave) {
  const of = wave.workloads === 0 ? 'no workload differs so' : `${numbers.format(wave.workloads - wave.drifted)} of ${count(wave.workloads, 'workload')}`;
  switch (wave.phase) {
    case 'Waiting': return `waits, ${of}`;
    case 'RollingOut': return `rolls out, ${of}${wave.unjudged ? `, ${wave.unjudged} not judged` : ''}${wave.namespaces?.length ? `, left in ${wave.namespaces.map((name) => printable(name)).join(', ')}` : ''}`;
    case 'Soaking': return `soaks until ${absolute(wave.until)}, ${of}`;
    default: return `over, ${of}`;
  }
}

function drawBlocked() {
  const blocked = page.report.summary.workloads.Blocked || 0;
  const listed = page.report.items.map((item, i) => [item, page.details[i]]).filter(([item]) => item.state === 'Blocked');
  painted($('blocked'), 'Blocked').hidden = blocked === 0;
  $('blocked').replaceChildren(
    el('h2', { id: 'blocked-title' }, mark('Blocked'), `${count(blocked, 'workload')} could not be re-created`),
    el('p', {}, 'Time bombs: admission refuses their Pods today. They run until a Pod is evicted or a node goes.'),
    el('ul', {}, listed.slice(0, 5).map(([item, why]) => el('li', {},
      el('a', { href: '#' + keyOf(item), click: (event) => event.target.hash === location.hash && follow() }, `${printable(groupOf(item))}/${brief(item.name)}`), ' ', el('span', { class: 'muted' }, brief(item.kind)),
      el('span', { class: 'why' }, printable(why))))),
    listed.length > 5 ? el('button', { type: 'button', class: 'quiet', click: () => {
      clearFilters();
      view.states.add('Blocked');
      drawChips();
      refilter();
      $('table').focus();
    } }, `Show all ${numbers.format(listed.length)}`) : '');
}
