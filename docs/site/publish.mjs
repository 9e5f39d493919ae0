// Puts a built site among those of other versions, as the pages' branch has them:
//
//   node docs/site/publish.mjs PAGES SITE vX.Y.Z
//
// It becomes PAGES/vX.Y, in the place of an earlier vX.Y.Z; /versions.html lists all, and / leads to
// the newest.
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const folder = /^v(\d+)\.(\d+)$/

const newestFirst = (a, b) => {
  const [, majorA, minorA] = folder.exec(a), [, majorB, minorB] = folder.exec(b)
  return majorB - majorA || minorB - minorA
}

const document = (title, head, body) =>
  `<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>${title}</title>${head}</head>\n<body>${body}</body>\n</html>\n`

export function publish(pages, site, version) {
  const match = /^(v\d+\.\d+)\.\d+$/.exec(version)
  if (!match) throw new Error(`${version} is no release: vX.Y.Z is`)
  fs.mkdirSync(pages, { recursive: true })
  const to = path.join(pages, match[1])
  fs.rmSync(to, { recursive: true, force: true })
  fs.cpSync(site, to, { recursive: true })
  const versions = fs.readdirSync(pages).filter((name) => folder.test(name)).sort(newestFirst)
  const links = versions.map((v) => `<li><a href="${v}/">${v}</a></li>`).join('')
  fs.writeFileSync(path.join(pages, 'versions.html'), document('sidecar-drift: versions', '', `<h1>sidecar-drift, documentation</h1><ul>${links}</ul>`))
  fs.writeFileSync(path.join(pages, 'index.html'), document('sidecar-drift', `<meta http-equiv="refresh" content="0; url=${versions[0]}/">`, `<a href="${versions[0]}/">${versions[0]}</a>`))
  fs.writeFileSync(path.join(pages, '.nojekyll'), '')
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) publish(...process.argv.slice(2))
