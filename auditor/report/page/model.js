// manyNamespaces is how many bars are drawn before somebody asks for all.
const manyNamespaces = 12;

const $ = (id) => document.getElementById(id);
const collator = new Intl.Collator('en', { numeric: true });

let page;
// A row is a workload of the report, with what the table needs to know of it.
let rows = [];
const view = {
  words: [], states: new Set(), group: undefined, change: undefined, label: undefined, sort: 'state', descending: false,
  open: new Set(), pinned: undefined, allNamespaces: false, allChanges: false, allLanes: false, range: undefined,
};

function keyOf(item) {
  const names = [item.namespace, item.kind, item.name];
  if (item.cluster) names.unshift(item.cluster);
  return names.map(encodeURIComponent).join('/');
}

const groupOf = (item) => item.cluster ? `${item.cluster} / ${item.namespace}` : item.namespace;

// textOf is what a search looks through of a workload: names, states, reasons.
function textOf(row) {
  if (row.text === undefined) {
    const { item } = row;
    const words = [item.cluster, `${item.namespace}/${item.name}`, `${item.kind}/${item.name}`, item.state, row.details, item.rollout.reason, ...Object.values(item.labels || {})];
    for (const revision of item.revisions) words.push(revision.name, revision.reason, ...revision.sidecars);
    row.text = words.join('\n').toLowerCase();
  }
  return row.text;
}

// changeText is the same of a change, which many workloads have.
function changeText(change) {
  change.text ??= [change.id || '', change.part, change.path, change.spent ? 'spent' : '', ...linesOf(change.from), ...linesOf(change.to)].join('\n').toLowerCase();
  return change.text;
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
  page.numbers = new Map((page.report.changes || []).map((change, i) => [change.id, i + 1]).filter((_, i) => page.report.changes[i].workloads > 1));
  for (const revision of page.report.items.flatMap((item) => item.revisions)) {
    revision.changes = revision.changes.map((index) => page.changes[index]);
    revision.autoscaled = revision.autoscaled?.map((index) => page.changes[index]);
  }
  rows = page.report.items.map((item, order) => ({
    item, order, key: keyOf(item), group: groupOf(item), pods: podsOf(item), details: page.details[order],
    changes: item.revisions.length === 1 ? item.revisions[0].changes : [...new Set(item.revisions.flatMap((revision) => revision.changes))],
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

const differsBy = (row, id) => row.changes.some((change) => change.id === id);
const labelled = ({ item }, [key, value]) => (item.labels?.[key] ?? '') === value;

// holding tells of a workload whether it holds a word. Changes are looked through once for
// all who have them.
function holding(word) {
  const changes = new Set(page.changes.filter((change) => changeText(change).includes(word)));
  return (row) => textOf(row).includes(word) || changes.size > 0 && row.changes.some((change) => changes.has(change));
}

// matching are the workloads that all filters leave, and before them one that was asked for.
function matching() {
  const tests = view.words.map(holding);
  if (view.states.size > 0) tests.push((row) => view.states.has(row.item.state));
  if (view.group !== undefined) tests.push((row) => row.group === view.group);
  if (view.change !== undefined) tests.push((row) => differsBy(row, view.change));
  if (view.label !== undefined) tests.push((row) => labelled(row, view.label));
  const found = rows.filter((row) => tests.every((test) => test(row)));
  const pinned = rows.find((row) => row.key === view.pinned);
  return pinned ? [pinned, ...found.filter((row) => row !== pinned)] : found;
}
