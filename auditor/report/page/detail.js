'use strict';

// el makes an element. What a report says enters the page as text, never as
// markup.
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(name, value);
    else if (value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== ''));
  return node;
}

// printable shows characters that would hide, or turn the text around them.
function printable(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (c) => '\\u' + c.codePointAt(0).toString(16).padStart(4, '0'));
}

// brief is a name for a cell: the longest that Kubernetes allows would take ten lines.
const longestName = 63;
const longestKind = 30;
const brief = (name, longest = longestName) => {
  const text = printable(name);
  return text.length <= longest ? text : text.slice(0, longest - 1) + '…';
};
const whole = (name, longest = longestName) => printable(name).length <= longest ? undefined : printable(name);

const numbers = new Intl.NumberFormat('en');
const count = (n, noun) => `${numbers.format(n)} ${noun}${n === 1 ? '' : 's'}`;
const sum = (list) => list.reduce((a, b) => a + b, 0);
const podsOf = (item) => sum(Object.values(item.pods));

// percent never rounds a little drift down to none, nor up to all.
function percent(p) {
  if (p > 0 && p < 0.1) return '<0.1 %';
  if (p > 99.9 && p < 100) return '>99.9 %';
  return p.toFixed(1) + ' %';
}

const absolute = (time) => new Date(time).toISOString().slice(0, 19).replace('T', ' ') + ' UTC';

function relative(time) {
  const seconds = (new Date(time) - Date.now()) / 1000;
  const format = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  for (const [unit, size] of [['day', 86400], ['hour', 3600], ['minute', 60]]) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return 'just now';
}

// span is a time in whole units of which there are two or more, rounded up.
function span(seconds) {
  for (const [unit, size] of [['days', 86400], ['h', 3600], ['min', 60]]) {
    if (seconds > 2 * size) return `${Math.ceil(seconds / size)} ${unit}`;
  }
  return `${Math.max(1, Math.ceil(seconds))} s`;
}

// The states that this build knows, worst first, and last how to show others.
let states = [];
const known = (name) => states.find((state) => state.name === name) || states.at(-1);
const rank = (index, length) => index < 0 ? length : index; // what is not in a list comes after it
const severity = (name) => rank(states.findIndex((state) => state.name === name), states.length);
const worstFirst = (counts) => Object.entries(counts).filter(([, n]) => n > 0).sort(([a], [b]) => severity(a) - severity(b));

function painted(node, state) {
  node.style.setProperty('--state', known(state).colour);
  return node;
}

const mark = (state) => painted(el('span', { class: 'mark', 'aria-hidden': 'true' }, known(state).mark), state);
const badge = (state) => el('span', { class: 'badge', title: known(state).meaning }, mark(state), printable(state));

// bar draws counts by state side by side.
function bar(counts) {
  return el('span', { class: 'bar', 'aria-hidden': 'true' }, worstFirst(counts).map(([state, n]) => {
    const piece = painted(el('span', { title: `${numbers.format(n)} ${printable(state)}` }), state);
    piece.style.flexGrow = n;
    return piece;
  }));
}

const byState = (counts) => worstFirst(counts).map(([state, n]) => `${numbers.format(n)} ${printable(state)}`).join(', ');

// diffLines compares two lists of lines: pairs of '-', '+' or ' ' and a line.
function diffLines(from, to) {
  let head = 0;
  while (head < from.length && head < to.length && from[head] === to[head]) head++;
  let tail = 0;
  while (tail < from.length - head && tail < to.length - head && from.at(-1 - tail) === to.at(-1 - tail)) tail++;
  const a = from.slice(head, from.length - tail);
  const b = to.slice(head, to.length - tail);
  const same = (list) => list.map((line) => [' ', line]);
  return [...same(from.slice(0, head)), ...middle(a, b), ...same(from.slice(from.length - tail))];
}

function middle(a, b) {
  if (a.length * b.length > 250000) return [...a.map((line) => ['-', line]), ...b.map((line) => ['+', line])];
  // common[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
  const common = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  const out = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push([' ', a[i++]]);
      j++;
    } else if (j === b.length || i < a.length && common[i + 1][j] >= common[i][j + 1]) {
      out.push(['-', a[i++]]);
    } else {
      out.push(['+', b[j++]]);
    }
  }
  return out;
}

const composite = (value) => value !== null && typeof value === 'object';
const long = (value) => composite(value) && Object.keys(value).length > 0 ||
  typeof value === 'string' && (value.length > 80 || value.includes('\n'));

function linesOf(value) {
  if (value === undefined) return [];
  return (typeof value === 'string' ? value : JSON.stringify(value, null, 2)).split('\n');
}

// sides are the cells of one change: two short values, or a diff by line.
function sides({ from, to, unstable }) {
  if (unstable) return [el('td', { colspan: 2, class: 'muted' }, 'varies from one injection to the next')];
  if (from === undefined && to === undefined) return [el('td', { colspan: 2 })];
  if (long(from) || long(to)) {
    const names = { '-': 'removed', '+': 'added' };
    const lines = diffLines(linesOf(from), linesOf(to)).map(([sign, line]) =>
      el('span', { class: names[sign] }, `${sign} ${printable(line)}\n`));
    return [el('td', { colspan: 2 }, el('pre', { tabindex: 0 }, lines))];
  }
  const cell = (name, value) => el('td', {}, value === undefined
    ? el('span', { class: 'muted' }, 'none')
    : el('code', { class: name }, value === '' ? '""' : printable(composite(value) ? JSON.stringify(value) : value)));
  return [cell('removed', from), cell('added', to)];
}

// manyChanges is how many changes of a revision are drawn before somebody asks
// for the others.
const manyChanges = 100;

// spentTag marks what is of an init container that has ended.
const spentTag = () => el('span', { class: 'tag', title: 'Of an init container that has ended: nothing that runs depends on it, and no rollout restarts for it alone unless told' }, 'spent');

// onlySpent reports whether a workload drifts by nothing else.
function onlySpent({ state, revisions }) {
  const changes = revisions.flatMap((revision) => revision.changes).filter((change) => !change.unstable);
  return known(state).drift && changes.length > 0 && changes.every((change) => change.spent) && !revisions.some((revision) => revision.moreChanges);
}

function changesTable(changes, limit = manyChanges) {
  const body = el('tbody');
  let part;
  let spent;
  for (const change of changes.slice(0, limit)) {
    if (change.part !== part) {
      part = change.part;
      spent = changes.every((other) => other.part !== part || other.spent);
      body.append(el('tr', { class: 'part' }, el('th', { scope: 'rowgroup', colspan: 3 }, printable(part), spent ? [' ', spentTag()] : '')));
    }
    body.append(el('tr', {}, el('th', { scope: 'row' }, change.path === '' ? 'all of it' : printable(change.path), change.spent && !spent ? [' ', spentTag()] : ''), sides(change)));
  }
  const table = el('table', { class: 'changes' },
    el('thead', {}, el('tr', {}, ['Field', 'Now', 'Re-created'].map((title) => el('th', { scope: 'col' }, title)))), body);
  if (changes.length <= limit) return table;
  const all = el('div', {}, table, el('button', { type: 'button', class: 'quiet', click: () => {
    const whole = changesTable(changes, Infinity);
    whole.tabIndex = -1;
    all.replaceWith(whole);
    whole.focus();
  } }, `Show all ${count(changes.length, 'change')}`));
  return all;
}

function stampsText(revision) {
  const short = (stamp) => stamp === '' ? 'no stamp' : printable(stamp).slice(0, 15);
  const live = revision.stamps.map((s) => `${short(s.stamp)} (${count(s.pods, 'Pod')})`).join(', ');
  return live && revision.fresh ? `${live} → ${short(revision.fresh)}` : live;
}

function revisionDetail(revision) {
  const names = (list) => (list ?? []).map(printable).join(', ');
  const facts = [['Sidecars', names(revision.sidecars) || (revision.injected ? 'none: variables, mounts or volumes alone are injected' : '')],
    ['Would lose', names(revision.loses)], ['Undecided', names(revision.undecided)], ['Not judged', names(revision.biased)],
    ['Stamps', stampsText(revision)], ['Ignored', revision.ignored ? count(revision.ignored, 'difference') : '']];
  return el('section', { class: 'revision' },
    el('h3', {}, badge(revision.state), ' ', el('span', {}, revision.name ? printable(revision.name) : 'Pods'),
      el('span', { class: 'muted' }, ` ${count(revision.pods, 'Pod')}${revision.approximate ? ', approximate' : ''}`)),
    revision.reason ? el('p', { class: 'reason' }, revision.reason.split('\n').flatMap((line) => [printable(line), el('br')]).slice(0, -1)) : '',
    el('dl', {}, facts.filter(([, text]) => text).map(([name, text]) => el('div', {}, el('dt', {}, name), el('dd', {}, text)))),
    revision.changes.length ? changesTable(revision.changes) : '',
    revision.moreChanges ? el('p', { class: 'muted' }, `And ${count(revision.moreChanges, 'more change')} that the report leaves out.`) : '',
    revision.autoscaled?.length ? el('details', {}, el('summary', {}, `${count(revision.autoscaled.length, 'change')} of what an autoscaler sets, no part of the state`),
      changesTable(revision.autoscaled)) : '');
}

// planCommand plans the rollout of one workload, where its names need no
// quoting.
function planCommand(item) {
  const plain = [item.namespace, item.kind, item.name].every((name) => /^[\w.-]+$/.test(name));
  return plain ? `sidecar-drift rollout ${item.kind.toLowerCase()}/${item.name} --namespace ${item.namespace}` : '';
}

function rolloutText({ rollout, state }) {
  const reason = rollout.reason ? `: ${printable(rollout.reason)}` : '';
  if (rollout.result) return `Rollout: ${printable(rollout.result)}${reason}.`;
  if (rollout.eligible) return `A rollout would take it${rollout.strategy ? ` (${printable(rollout.strategy)})` : ''}.`;
  if (known(state).drift || reason) return `A rollout would leave it alone${reason}.`;
  return '';
}

// workloadDetail is what opens below a workload's row.
function workloadDetail(item) {
  const command = item.rollout.eligible && !item.rollout.result ? planCommand(item) : '';
  const several = Object.keys(item.pods).length > 1 ? `Pods: ${byState(item.pods)}. ` : '';
  const oldest = item.oldestPod ? `Its oldest Pod started ${relative(item.oldestPod)} (${absolute(item.oldestPod)}).` : '';
  return el('div', { class: 'detail' },
    whole(item.name) ? el('p', {}, whole(item.name)) : '',
    el('p', {}, known(item.state).meaning, ' ', rolloutText(item), ' ', several, oldest),
    command ? el('p', {}, 'To plan it, changing nothing: ', el('code', { class: 'command' }, command)) : '',
    item.revisions.map(revisionDetail));
}
