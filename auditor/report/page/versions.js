// manyVersions is how many are shown at first.
const manyVersions = 8;

// drawVersions shows which specs of sidecars run, those of an injector together.
function drawVersions() {
  const all = page.versions || [];
  const shown = view.allVersions ? all : all.slice(0, manyVersions);
  $('versions').hidden = all.length === 0;
  $('version-list').replaceChildren(...shown.map((version) => el('li', { 'data-version': version.id },
    el('h3', {}, printable(version.images), el('span', { class: 'muted' }, ` ${printable([version.injector, version.revision].filter(Boolean).join(' '))} ${version.id}`)),
    el('p', {}, `${count(version.pods, 'Pod')} of ${count(version.workloads, 'workload')} in ${count(version.namespaces, 'namespace')}`,
      version.oldestPod ? el('span', { class: 'muted', title: absolute(version.oldestPod) }, `, the oldest ${relative(version.oldestPod)}`) : ''),
    version.says.map((text) => el('p', { class: 'muted' }, printable(text))))));
  $('versions-more').hidden = shown.length === all.length;
  $('versions-more').textContent = `Show all ${numbers.format(all.length)}`;
}
