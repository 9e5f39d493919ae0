// node shoot.mjs CHROMIUM DIRECTORY...: draws what drawing.json in each directory says, keeps
// a picture of each panel and of the dashboard beside it, and prints as JSON, by directory,
// what each panel says in words, what its links are, and which colours its graph has.
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import puppeteer from 'puppeteer-core';

// How long, in milliseconds, any one step may take on a machine that has much else to do.
const patience = 300_000;

const [chromium, ...directories] = process.argv.slice(2);
const { outputFiles } = await build({
  entryPoints: ['draw.jsx'], bundle: true, write: false, outdir: '.', format: 'iife', jsx: 'automatic', logLevel: 'error',
  define: { 'process.env.NODE_ENV': '"production"' }, loader: { '.svg': 'text', '.ttf': 'empty' },
});
const site = {};
for (const { path, text } of outputFiles) site['/' + basename(path)] = [path.endsWith('.css') ? 'text/css' : 'text/javascript', text];

// What Grafana's own site has beside its scripts.
const packaged = [
  [/\/img\/icons\/.*\.svg$/, 'image/svg+xml', ([icon]) => '@grafana/ui/dist/public' + icon],
  [/\/fonts\/inter\/Inter-(Regular|Medium)\.woff2$/, 'font/woff2', ([, weight]) => `@fontsource/inter/files/inter-latin-${weight === 'Medium' ? 500 : 400}-normal.woff2`],
];

// serve answers what the page of a drawing asks for: nothing leaves this machine.
async function serve(request, drawing) {
  const { pathname } = new URL(request.url());
  if (pathname === '/') {
    return request.respond({
      contentType: 'text/html',
      body: `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><link rel="stylesheet" href="draw.css"><body><div id="root"></div>
<script>window.drawing = ${drawing.replaceAll('<', '\\u003c')}</script><script src="draw.js"></script>`,
    });
  }
  if (site[pathname]) {
    const [contentType, body] = site[pathname];
    return request.respond({ contentType, body });
  }
  for (const [pattern, contentType, file] of packaged) {
    const found = pathname.match(pattern);
    if (found) return request.respond({ contentType, body: await readFile('node_modules/' + file(found)) });
  }
  return request.respond({ status: 404 });
}

const browser = await puppeteer.launch({
  executablePath: chromium, args: process.getuid() === 0 ? ['--no-sandbox'] : [], timeout: patience, protocolTimeout: patience,
});
try {
  const drawn = {};
  for (const directory of directories) drawn[directory] = await shoot(directory);
  console.log(JSON.stringify(drawn));
} finally {
  await browser.close();
}

async function shoot(directory) {
  const drawing = await readFile(join(directory, 'drawing.json'), 'utf8');
  const page = await browser.newPage();
  page.setDefaultTimeout(patience);
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && problems.push(`${message.text()} ${message.location().url ?? ''}`));
  await page.setViewport({ width: 1440, height: 900 });
  await page.setRequestInterception(true);
  page.on('request', (request) => serve(request, drawing).catch((e) => problems.push(String(e))));
  await page.goto('http://dashboard.invalid/');
  await page.waitForSelector('#dashboard').catch((e) => problems.push(String(e)));
  const panels = await page.$$('[data-title]');
  await page.waitForFunction((n) => document.querySelectorAll('[data-drawn], .problem').length === n, {}, panels.length).catch((e) => problems.push(String(e)));
  if (problems.length > 0) throw new Error(problems.join('\n'));
  await page.evaluate(() => document.fonts.ready);
  await page.setViewport({ width: 1440, height: await page.$eval('#dashboard', (all) => all.offsetHeight) });
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  const said = {};
  for (const panel of panels) {
    const title = await panel.evaluate((e) => e.dataset.title);
    said[title] = await panel.evaluate(describe);
    await panel.screenshot({ path: join(directory, `${title.toLowerCase().replaceAll(/\W+/g, '-')}.png`) });
  }
  await (await page.$('#dashboard')).screenshot({ path: join(directory, 'dashboard.png') });
  await page.close();
  return { problems, said };
}

// describe is what a panel says, line by line, its links, and each colour that fills
// at least 30 pixels of its graph.
function describe(panel) {
  const canvas = panel.querySelector('canvas');
  const colours = {};
  if (canvas) {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] > 100) {
        const colour = '#' + [data[i], data[i + 1], data[i + 2]].map((c) => c.toString(16).padStart(2, '0')).join('');
        colours[colour] = (colours[colour] ?? 0) + 1;
      }
    }
  }
  const rows = [...panel.querySelectorAll('[role="row"], tr')].map((row) => [...row.querySelectorAll('[role="columnheader"], [role="gridcell"], th, td')].map((cell) => cell.innerText.trim()).join(' | '));
  return {
    words: rows.length > 0 ? rows : panel.querySelector('[data-drawn], .problem').innerText.split('\n').filter((line) => line.trim()),
    links: [...panel.querySelectorAll('[data-drawn] a[href]')].map((a) => a.getAttribute('href')),
    colours: Object.keys(colours).filter((colour) => colours[colour] >= 30).sort(),
  };
}
