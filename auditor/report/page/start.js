function drawTime() {
  const time = page.report.generatedAt;
  $('generated').replaceChildren('Audited ', el('time', { datetime: time }, `${absolute(time)}, ${relative(time)}`));
  const server = page.report.cluster?.server;
  if (server) $('generated').append(' at ', el('span', { id: 'server' }, printable(server)));
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
  keepFocus(drawChanges);
  keepFocus(drawTimeline);
  drawWaves();
  keepFocus(drawNamespaces);
  drawVersions();
  drawFilters();
  drawRows();
}

// refresh fetches newer data, and leaves the search, what is open and the
// focus as they are.
async function refresh() {
  try {
    const response = await fetch(page.live.url, { cache: 'no-cache', headers: { Accept: 'application/json' } });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const tag = response.headers.get('ETag');
    const data = tag === null || tag !== page.tag ? await response.json() : undefined;
    if (data && data.report.generatedAt !== page.report.generatedAt) {
      load({ ...data, live: page.live, tag });
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
    view.words = [];
    refilter();
  }
}

// onRowKey moves between workloads and closes them.
function onRowKey(event) {
  const key = event.target.closest('#rows > tr')?.dataset.key;
  if (key === undefined) return;
  const at = list.at.get(key);
  if (event.key === 'Escape' && view.open.has(key)) {
    buttonOf(key).focus();
    toggle(key, false);
  } else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && event.target.matches('button.open')) {
    goTo(at + (event.key === 'ArrowDown' ? 1 : -1));
    event.preventDefault();
  }
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
  view.pinned = undefined;
  drawRows();
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
  startFilters();
  startList();
  $('versions-more').addEventListener('click', () => {
    view.allVersions = true;
    drawVersions();
  });
  $('namespaces-more').addEventListener('click', () => {
    view.allNamespaces = true;
    drawNamespaces();
  });
  $('changes-more').addEventListener('click', () => {
    view.allChanges = true;
    drawChanges();
  });
  $('lanes-more').addEventListener('click', () => {
    view.allLanes = true;
    drawTimeline();
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
