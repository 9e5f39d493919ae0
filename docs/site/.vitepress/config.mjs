// docs/ as a site: make docs-site. The files stay readable as they are, so everything
// that a site needs more is here.
import fs from 'node:fs'
import path from 'node:path'
import { slug } from 'github-slugger'
import { defineConfig } from 'vitepress'

const docs = path.resolve(import.meta.dirname, '../..')
const repository = 'https://github.com/sidecar-drift/sidecar-drift'
const version = process.env.DOCS_VERSION || 'main'
const base = process.env.DOCS_BASE || '/'
// Where the sites of all versions are, if this one stands among them.
const versions = base === '/' ? [] : [{ text: 'Other versions', link: 'https://sidecar-drift.github.io' + path.posix.join(base, '../versions.html'), target: '_self' }]

// title is a page's first heading.
const title = (file) => /^# (.*)$/m.exec(fs.readFileSync(path.join(docs, file), 'utf8'))[1]
const page = (file) => ({ text: title(file), link: '/' + file.replace(/README\.md$/, '').replace(/\.md$/, '') })
const pagesOf = (dir) => fs.readdirSync(path.join(docs, dir)).filter((f) => f.endsWith('.md') && f !== 'README.md').sort().map((f) => page(dir + '/' + f))

// The sidebar is the table of docs/README.md.
const groups = fs.readFileSync(path.join(docs, 'README.md'), 'utf8').split('\n')
  .map((line) => /^\| (.*?) \| (.*) \|$/.exec(line)).filter((row) => row && row[2].includes('](')).map((row) => ({
    text: row[1][0].toUpperCase() + row[1].slice(1),
    items: [...row[2].matchAll(/\]\(([^)]+\.md)\)/g)].map((link) => {
      const item = page(link[1])
      if (link[1].endsWith('/README.md')) Object.assign(item, { collapsed: true, items: pagesOf(path.dirname(link[1])) })
      return item
    }),
  }))
groups.push({ text: 'What an alert means', collapsed: true, items: pagesOf('runbooks') })

// Files outside of docs/, and those that are no pages, are the repository's.
const outside = (md) => {
  const render = md.renderer.rules.link_open || ((tokens, i, options, env, self) => self.renderToken(tokens, i, options))
  md.core.ruler.push('repository-links', (state) => {
    for (const block of state.tokens) for (const token of block.children || []) {
      const href = token.type === 'link_open' && token.attrGet('href')
      if (!href || /^([a-z]+:|#|\/)/.test(href)) continue
      const [file, anchor] = href.split('#')
      const target = path.resolve(docs, path.dirname(state.env.relativePath), decodeURI(file))
      if (target.startsWith(docs + path.sep) && target.endsWith('.md')) continue
      const at = path.relative(path.dirname(docs), target)
      token.attrSet('href', `${repository}/${fs.statSync(target).isDirectory() ? 'tree' : 'blob'}/${version}/${at}${anchor ? '#' + anchor : ''}`)
    }
  })
  md.renderer.rules.link_open = render
}

export default defineConfig({
  title: 'sidecar-drift',
  description: 'Finds Pods whose injected sidecars are out of date, and rolls them out',
  srcDir: docs,
  srcExclude: ['site/**'],
  rewrites: { 'README.md': 'index.md', 'injectors/README.md': 'injectors/index.md', 'reference/README.md': 'reference/index.md' },
  outDir: process.env.DOCS_OUT || path.resolve(docs, '../bin/docs-site'),
  base,
  cleanUrls: true,
  markdown: { anchor: { slugify: slug }, html: false, config: outside },
  themeConfig: {
    search: { provider: 'local' },
    sidebar: groups,
    outline: [2, 3],
    nav: [{ text: version, items: [...versions, { text: 'Changelog', link: `${repository}/blob/${version}/CHANGELOG.md` }, { text: 'All releases', link: `${repository}/releases` }] }],
    socialLinks: [{ icon: 'github', link: repository }],
    editLink: { pattern: `${repository}/edit/main/docs/:path` },
  },
})
