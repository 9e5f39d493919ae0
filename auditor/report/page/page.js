// follow opens the workload that the address names.
function follow() {
  const key = location.hash.slice(1).split('/').map((part) => {
    try { return encodeURIComponent(decodeURIComponent(part)); } catch { return part; }
  }).join('/');
  if (readAddress() || !rows.some((row) => row.key === key)) return;
  view.open.add(key);
  view.pinned = matching().some((row) => row.key === key) ? undefined : key;
  drawRows(key);
  buttonOf(key).focus({ preventScroll: true });
  buttonOf(key).closest('tr').scrollIntoView({ block: 'start' });
}

// keepFocus leaves the focus on the button of the same state, namespace, change or range.
function keepFocus(draw) {
  const [name, value] = Object.entries(document.activeElement?.dataset || {}).find(([name]) => ['state', 'group', 'change', 'lane', 'range'].includes(name)) || [];
  draw();
  if (name === undefined) return;
  [...document.querySelectorAll(`[data-${name}]`)].find((node) => node.dataset[name] === value)?.focus({ preventScroll: true });
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
      click: () => chooseGroup(view.group === found.group ? undefined : found.group),
    }, el('span', { class: 'bar-name' }, name), bar(found.pods), el('span', { class: 'bar-pods' }, count(found.all, 'Pod')), el('span', { class: 'bar-share' }, share),
    el('span', { class: 'hidden' }, ` drift: ${byState(found.pods)}`)));
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
  if (report.preview) {
    const candidates = (report.preview.webhooks || []).map(({ webhook, candidate }) => `${candidate} in the place of ${webhook}`).concat(report.preview.policies || []);
    if (candidates.length > 0) found.push(`Preview: as if there were ${candidates.join(', ')}. Of ${count(report.preview.workloads, 'workload')} ${numbers.format(report.preview.previewed)} could be previewed.`);
    const added = [...pairs('label', report.preview.labels), ...pairs('annotation', report.preview.annotations)];
    if (added.length > 0) found.push(`Preview: as if every Pod had ${added.join(', ')}. None does yet.`);
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
    listed.length > 5 ? el('button', { type: 'button', class: 'quiet', click: () => showOnly({ states: new Set(['Blocked']) }) },
      `Show all ${numbers.format(listed.length)}`) : '');
}
