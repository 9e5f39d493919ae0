// fewCards is how many changes have a card before somebody asks for all.
const fewCards = 6;

// record is what the journal has of a change.
const record = (id) => (page.journal || []).find((entry) => entry.id === id);

// healing says how far a change is: how many of those whom it reached still have it, and what
// became of the others.
function healing(entry) {
  const { reach, open } = entry;
  const parts = [['done', entry.rolledOut, 'rolled out'], ['other', entry.takenBack, 'in sync with the same Pods'],
    ['other', entry.superseded, 'differ otherwise now'], ['other', entry.gone, 'gone']].filter(([, n]) => n > 0);
  const all = open + sum(parts.map(([, n]) => n));
  const text = [...parts.map(([, n, what]) => `${numbers.format(n)} ${what}`), open > 0 ? `${numbers.format(open)} left` : ''].filter(Boolean).join(', ');
  const done = all === 0 ? 0 : Math.floor(100 * (all - open) / all);
  return { parts, open, all, done, text, reach };
}

// progress is a bar of what became of workloads.
function progress(parts, open, all) {
  const pieces = [...parts, ['open', open]].filter(([, n]) => n > 0).map(([name, n]) => {
    const piece = el('span', { class: name });
    piece.style.flexGrow = n;
    return piece;
  });
  return el('span', { class: 'bar progress', 'aria-hidden': 'true' }, all > 0 ? pieces : '');
}

// howFar shows how far a change is rolled out, by what the journal knows or, without one, how
// many a rollout would take.
function howFar(change, would) {
  const entry = record(change.id);
  if (entry) {
    const { parts, open, all, done, text } = healing(entry);
    return el('div', { class: 'far' }, el('p', {}, el('b', {}, `${done} % healed`), el('span', { class: 'muted' }, ` ${text}`)), progress(parts, open, all));
  }
  if (would.results) {
    return el('div', { class: 'far' }, el('p', {}, el('b', {}, `${numbers.format(would.done)} of ${numbers.format(would.all)}`), ' rolled out'),
      progress([['done', would.done]], would.all - would.done, would.all));
  }
  return el('p', { class: 'muted' }, would.all === 0 ? '' : would.eligible === would.all ? `A rollout would take ${would.all === 1 ? 'it' : 'all of them'}.` :
    `A rollout would take ${numbers.format(would.eligible)} of them.`);
}

// takers counts, for each change, the workloads that a rollout would take, or took.
function takers() {
  const found = new Map();
  for (const { item, changes } of rows) {
    for (const id of new Set(changes.map((change) => change.id).filter(Boolean))) {
      const would = found.get(id) || { all: 0, eligible: 0, done: 0, results: false };
      found.set(id, would);
      would.all++;
      if (item.rollout.eligible) would.eligible++;
      if (item.rollout.result === 'RolledOut' || item.rollout.result === 'Resized') would.done++;
      if (item.rollout.result) would.results = true;
    }
  }
  return found;
}

// since is when a change began; where that is known by two audits, between which.
function since(change) {
  const began = record(change.id)?.began || (change.since ? { by: change.since } : undefined);
  if (!began) return '';
  const [day, by] = [absolute(began.by).slice(0, 10), absolute(began.by).slice(11, 19)];
  const after = began.after && absolute(began.after);
  const exact = !after ? `by ${day} ${by} UTC` : after.slice(0, 10) === day ? `${day}, between ${after.slice(11, 19)} and ${by} UTC` : `between ${after.slice(0, 16)} and ${day} ${by.slice(0, 5)} UTC`;
  return el('p', {}, 'Since ', el('time', { datetime: began.by }, relative(began.by)), el('span', { class: 'muted' }, ` (${exact})`));
}

// waveItem is how far one wave is.
const waveItem = (wave) => el('li', { 'data-phase': wave.phase },
  el('p', {}, el('b', {}, printable(wave.name)), ` ${waveText(wave)}`),
  progress([['done', wave.workloads - wave.drifted]], wave.drifted, wave.workloads));

// inWaves is how far a change is in its waves. What goes in them together may be part of
// several changes, and parts of one may go one after the other.
function inWaves(change) {
  const found = (page.report.waves || []).filter(({ changes }) => changes?.includes(change.id));
  return found.length === 0 ? '' : el('div', {}, found.map(({ waves }) => el('ol', { class: 'waves', 'aria-label': 'Its waves' }, waves.map(waveItem))));
}

function card(change, number, would) {
  const chosen = view.change === change.id;
  const reach = [count(change.workloads, 'workload'), count(change.pods, 'Pod'), count(change.namespaces, 'namespace')];
  return el('li', { class: 'change' + (chosen ? ' chosen' : '') },
    el('h3', {}, el('span', { class: 'number' }, `#${number} `), brief(change.summary, 300)),
    el('p', { class: 'reach' }, el('b', {}, reach[0]), ` · ${reach[1]} · ${reach[2]}`),
    change.today ? el('p', { class: 'muted' }, 'Drift of today: the candidate makes none of it.') : '',
    el('p', {}, el('span', { class: 'risk', 'data-risk': change.risk }, printable(change.risk)), ' ', el('span', { class: 'muted' }, printable(change.riskReason))),
    since(change),
    change.by ? el('p', { class: 'by' }, printable(change.by)) : '',
    change.webhook ? el('p', { class: 'muted' }, 'Injected by ', el('code', {}, printable(change.webhook))) : '',
    howFar(change, would || { all: 0 }),
    inWaves(change),
    el('p', { class: 'foot' },
      el('button', {
        type: 'button', class: 'quiet', 'data-change': change.id, 'aria-pressed': String(chosen),
        click: () => chosen ? setFilters({}) : showOnly({ change: change.id }),
      }, chosen ? 'Show all workloads' : `Show ${change.workloads === 1 ? 'it' : `its ${reach[0]}`}`,
      el('span', { class: 'hidden' }, ` (change #${number})`)),
      el('code', { class: 'muted' }, printable(change.id))));
}

// drawChanges makes a card of each thing that workloads differ in alike, those that most have
// first.
function drawChanges() {
  const changes = page.report.changes || [];
  const all = takers();
  const shown = changes.filter((change, i) => view.allChanges || i < fewCards || change.id === view.change);
  $('changes').hidden = changes.length === 0;
  $('changes-count').textContent = changes.length > 1 ? numbers.format(changes.length) : '';
  $('change-list').replaceChildren(...shown.map((change) => card(change, changes.indexOf(change) + 1, all.get(change.id))));
  $('changes-more').hidden = shown.length === changes.length;
  $('changes-more').textContent = `Show all ${numbers.format(changes.length)}`;
}

// drawWaves shows how far changes are, where they are rolled out in waves.
function drawWaves() {
  const changes = page.report.waves || [];
  $('waves').hidden = changes.length === 0;
  const numbered = new Map((page.report.changes || []).map(({ id }, i) => [id, `#${i + 1}`]));
  $('wave-list').replaceChildren(...changes.map((change) => el('li', {},
    el('h3', {}, el('span', { class: 'number' }, (change.changes || []).map((id) => numbered.get(id)).filter(Boolean).map((number) => `${number} `).join('')), change.places.slice(0, 4).map((place) => printable(place)).join(', ') + (change.places.length > 4 ? ` and ${change.places.length + (change.morePlaces || 0) - 4} more` : ''),
      el('span', { class: 'muted', title: absolute(change.since) }, ` since ${relative(change.since)}`)),
    el('ol', { class: 'waves' }, change.waves.map(waveItem)))));
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
