// whole lists are drawn up to this many workloads; of longer ones what is in sight, and the
// rest of the table is empty rows of that height.
const drawnWhole = 100;
// beyond is how many pixels above and below what is in sight are drawn, too.
const beyond = 700;
// firstDrawn is how many are drawn at the beginning, in sight or not.
const firstDrawn = 10;
// mostPrinted is how many workloads are put on paper.
const mostPrinted = 1000;

// The workloads that the filters leave, those of them that are drawn, and how high one is that
// was never drawn.
const list = { found: [], at: new Map(), drawn: new Map(), height: 0, width: 0, printing: false };

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
    el('td', { class: 'c-kind', title: whole(item.kind, longestKind) }, brief(item.kind, longestKind)), el('th', { scope: 'row', class: 'c-name' }, button, labelTags(item)),
    el('td', { class: 'c-pods' }, podsText(row), el('span', { class: 'unit' }, row.pods === 1 ? ' Pod' : ' Pods')),
    el('td', { class: 'c-details' }, el('span', {}, numbersOf(row), onlySpent(item) ? spentTag() : '', printable(row.details))));
  return open ? [line, el('tr', { class: 'opened', id, 'data-key': row.key }, el('td', { colspan: 6 }, workloadDetail(item)))] : [line];
}

// manyNumbers is how many changes of a workload its row names.
const manyNumbers = 4;

// numbersOf are the numbers of the cards of a workload's changes that others have, too.
function numbersOf({ changes }) {
  const numbers = [...new Set(changes.map((change) => page.numbers.get(change.id)))].filter((number) => number !== undefined).sort((a, b) => a - b);
  if (numbers.length === 0) return '';
  return el('b', {}, numbers.slice(0, manyNumbers).map((number) => `#${number} `).join('') + (numbers.length > manyNumbers ? `+${numbers.length - manyNumbers} ` : ''));
}

// labelTags are the labels that the report holds of a workload.
const labelTags = ({ labels }) => Object.entries(labels || {}).filter(([, value]) => value !== '')
  .map(([key, value]) => el('span', { class: 'tag label', title: printable(`${key}=${value}`) }, brief(value, longestKind)));

const heightOf = (row) => row.height ?? list.height;

// inSight are the indices of the workloads to draw, in their order: what is in sight, what has
// the focus, which would be lost, and the first, to which Tab leads from what is above.
function inSight(focused, wanted) {
  const { found } = list;
  if (list.printing) return [...found.keys()].slice(0, mostPrinted);
  if (found.length <= drawnWhole) return [...found.keys()];
  const kept = new Set([...Array(firstDrawn).keys(), focused, wanted].filter((index) => index !== undefined));
  const top = -$('rows').getBoundingClientRect().top;
  let y = 0;
  for (let index = 0; index < found.length; index++) {
    const end = y + heightOf(found[index]);
    if (end >= top - beyond && y <= top + innerHeight + beyond) kept.add(index);
    y = end;
  }
  return [...kept].sort((a, b) => a - b);
}

function spacer(from, to) {
  let height = 0;
  for (let index = from; index < to; index++) height += heightOf(list.found[index]);
  const cell = el('td', { colspan: 6 });
  cell.style.height = `${height}px`;
  return el('tr', { class: 'spacer', 'aria-hidden': 'true' }, cell);
}

// drawWindow draws what is to be seen, and the wanted workload. What is drawn already stays as
// it is, with its focus.
function drawWindow(wanted) {
  const body = $('rows');
  const focused = list.at.get(document.activeElement?.closest('#rows > tr')?.dataset.key);
  const drawn = new Map();
  const nodes = [];
  let next = 0;
  for (const index of inSight(focused, wanted)) {
    const row = list.found[index];
    if (index > next) nodes.push(spacer(next, index));
    const own = list.drawn.get(row) || rowNodes(row);
    own[0].setAttribute('aria-rowindex', index + 2);
    drawn.set(row, own);
    nodes.push(...own);
    next = index + 1;
  }
  if (next < list.found.length && !list.printing) nodes.push(spacer(next, list.found.length));
  list.drawn = drawn;
  const stays = new Set(nodes);
  for (const node of [...body.children]) if (!stays.has(node)) node.remove();
  let at = body.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else body.insertBefore(node, at);
  }
}

// measure takes down how high the workloads are that are drawn.
function measure() {
  let sum = 0;
  for (const [row, nodes] of list.drawn) {
    row.height = nodes.reduce((height, node) => height + node.getBoundingClientRect().height, 0);
    sum += nodes[0].getBoundingClientRect().height;
  }
  if (list.height === 0 && list.drawn.size > 0) list.height = sum / list.drawn.size;
}

// drawList draws the window anew, twice where nothing was known of heights. Where the width is
// another one, heights are not as they were.
function drawList(wanted) {
  if (list.width !== innerWidth) {
    for (const row of rows) row.height = undefined;
    list.width = innerWidth;
    list.height = 0;
  }
  if (list.height === 0) {
    list.height = 48;
    drawWindow(wanted);
    list.height = 0;
    measure();
  }
  drawWindow(wanted);
  measure();
}

// drawRows draws the workloads that the filters leave.
function drawRows(wanted) {
  const focused = document.activeElement?.dataset?.key;
  list.found = matching();
  list.at = new Map(list.found.map((row, index) => [row.key, index]));
  const { found } = list;
  const many = found.length > drawnWhole;
  $('table').setAttribute('aria-rowcount', found.length + 1);
  $('table').hidden = found.length === 0;
  list.drawn = new Map();
  drawList(list.at.get(wanted ?? focused));
  if (focused) buttonOf(focused)?.focus({ preventScroll: true });
  $('shown').textContent = found.length === 0 ? '' : count(found.length, 'workload') + (found.length < rows.length ? ` out of ${numbers.format(rows.length)}` : '');
  $('keys').hidden = !many;
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

// goTo moves the focus to a workload of the list, drawn or not.
function goTo(index) {
  const row = list.found[Math.max(0, Math.min(list.found.length - 1, index))];
  drawList(list.at.get(row.key));
  buttonOf(row.key).focus();
}

function toggle(key, open = !view.open.has(key)) {
  if (open) view.open.add(key);
  else view.open.delete(key);
  history.replaceState(null, '', open ? '#' + key : location.pathname + location.search);
  const row = list.found[list.at.get(key)];
  const focused = document.activeElement?.dataset?.key;
  list.drawn.delete(row);
  drawList(list.at.get(key));
  if (focused) buttonOf(focused)?.focus({ preventScroll: true });
}

function startList() {
  let due = false;
  const soon = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      if (list.found.length > drawnWhole) drawList();
    });
  };
  addEventListener('scroll', soon, { passive: true });
  addEventListener('resize', soon);
  addEventListener('beforeprint', () => {
    list.printing = true;
    drawWindow();
    if (list.found.length > mostPrinted) $('shown').textContent = `The first ${numbers.format(mostPrinted)} of ${count(list.found.length, 'workload')}`;
  });
  addEventListener('afterprint', () => {
    list.printing = false;
    drawRows();
  });
}
