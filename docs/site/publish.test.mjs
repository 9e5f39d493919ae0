import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { publish } from './publish.mjs'

test('versions stand beside each other, and / leads to the newest', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'pages-'))
  const pages = path.join(dir, 'pages'), site = path.join(dir, 'site')
  const build = (text) => {
    fs.rmSync(site, { recursive: true, force: true })
    fs.mkdirSync(path.join(site, 'assets'), { recursive: true })
    fs.writeFileSync(path.join(site, 'index.html'), text)
    fs.writeFileSync(path.join(site, 'assets', text + '.js'), '')
  }
  for (const version of ['v0.9.0', 'v0.10.0', 'v0.9.1']) {
    build(version)
    publish(pages, site, version)
  }
  assert.equal(fs.readFileSync(path.join(pages, 'v0.9/index.html'), 'utf8'), 'v0.9.1')
  assert.deepEqual(fs.readdirSync(path.join(pages, 'v0.9/assets')), ['v0.9.1.js'])
  assert.equal(fs.readFileSync(path.join(pages, 'v0.10/index.html'), 'utf8'), 'v0.10.0')
  assert.match(fs.readFileSync(path.join(pages, 'index.html'), 'utf8'), /url=v0\.10\//)
  assert.match(fs.readFileSync(path.join(pages, 'versions.html'), 'utf8'), /v0\.10\/.*v0\.9\//)
  fs.rmSync(dir, { recursive: true })
})

test('what is no release is not published', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'pages-'))
  const pages = path.join(dir, 'pages'), site = path.join(dir, 'site')
  fs.mkdirSync(site)
  for (const version of ['main', 'v0.2.0-rc.1', '../v0.1.0', undefined]) {
    assert.throws(() => publish(pages, site, version), /is no release/)
    assert.ok(!fs.existsSync(pages))
  }
  fs.rmSync(dir, { recursive: true })
})
