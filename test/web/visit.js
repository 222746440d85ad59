// Visits the pages with Chromium, in all sizes, colour schemes and languages. Nothing may be
// asked of another host, said on the console or found by axe; the QR codes on the screen must
// be read by zbar. usage: node visit.js SITES SCREENSHOTS (test/web/web has laid them out)
"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const axe = require("axe-core");
const puppeteer = require("puppeteer-core");

const [sites, screenshots] = process.argv.slice(2);

const SIZES = {
	phone: { width: 360, height: 740, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
	desktop: { width: 1280, height: 800, deviceScaleFactor: 1 },
};
const SCHEMES = ["light", "dark"];
const LANGUAGES = { en: "en-US,en;q=0.9", de: "de-DE,de;q=0.9,en;q=0.5" };
const PAGES = ["", "app.html", "info.html", "privacy.html"];
const TARGET_MIN = 24; // pixels, WCAG 2.2 "Target Size (Minimum)"

const mistakes = [];
let checks = 0;

function check(good, what) {
	checks++;
	if (!good)
		mistakes.push(what);
}

// --- what every page is asked ---------------------------------------------------------

// A page that tells of everything it asks for and says.
async function openPage(browser, site, { size, scheme, language }) {
	const page = await browser.newPage();
	const where = `${site.name} ${size} ${scheme} ${language}`;
	await page.setViewport(SIZES[size]);
	await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
	await page.setExtraHTTPHeaders({ "Accept-Language": LANGUAGES[language] });
	page.on("request", (request) => {
		const url = new URL(request.url());
		const own = url.host === site.host || url.protocol === "dclogin:";
		check(own, `${where}: asked for ${request.url()}`);
	});
	page.on("requestfailed", (request) => {
		// Nobody is here to take a login.
		if (!request.url().startsWith("dclogin:"))
			check(false, `${where}: ${request.url()} failed`);
	});
	page.on("console", (message) => {
		if (!site.failing)
			check(false, `${where}: said ${message.type()}: ${message.text()}`);
	});
	page.on("pageerror", (error) => check(false, `${where}: ${error}`));
	return page;
}

// By the debugger, which no policy of the page keeps out.
async function checkAxe(page, what) {
	await page.evaluate(axe.source);
	const { violations } = await page.evaluate(() => window.axe.run(document, {
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
	}));
	const found = violations.map((v) => `${v.id} at ${v.nodes.map((n) => n.target).join(", ")}`);
	check(violations.length === 0, `${what}: axe: ${found.join("; ")}`);
}

async function checkWidth(page, what) {
	const wide = await page.evaluate(
		() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
	check(wide <= 0, `${what}: ${wide} pixels wider than the screen`);
}

// The way by keyboard: the skip link first, then the menu, each place to be seen.
async function checkKeyboard(page, what) {
	await page.keyboard.press("Tab");
	const first = await page.evaluate(() => {
		const e = document.activeElement;
		const box = e.getBoundingClientRect();
		return { skip: e.className === "skip", seen: box.left >= 0 && box.width > 0 };
	});
	check(first.skip && first.seen, `${what}: the first stop is no skip link to be seen`);
	await page.keyboard.press("Tab");
	const outline = await page.evaluate(() => {
		const style = getComputedStyle(document.activeElement);
		return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
	});
	check(outline, `${what}: the focus is not to be seen`);
}

async function checkTargets(page, what) {
	const small = await page.evaluate((least) => [...document.querySelectorAll("nav a, footer a, .cta-button")]
		.filter((a) => a.getBoundingClientRect().height < least)
		.map((a) => a.textContent), TARGET_MIN);
	check(small.length === 0, `${what}: too small to tap: ${small}`);
}

// What zbar reads on the screen.
function readCode(picture) {
	const text = execFileSync("zbarimg", ["-q", "--raw", picture], {
		encoding: "utf8",
		stdio: ["ignore", "pipe", "ignore"],
	});
	return text.trim();
}

async function shoot(page, ...names) {
	const picture = path.join(screenshots, `${names.filter(Boolean).join("-")}.png`);
	await page.screenshot({ path: picture, fullPage: true });
	return picture;
}

// --- the pages of a usual relay -------------------------------------------------------

async function visit(browser, site, name, view) {
	const what = `${site.name} /${name} ${Object.values(view).join(" ")}`;
	const page = await openPage(browser, site, view);
	const answer = await page.goto(`${site.url}/${name}`, { waitUntil: "load" });
	check(answer.status() === 200, `${what}: status ${answer.status()}`);
	check(/Accept-Language/.test(answer.headers().vary || ""), `${what}: no Vary`);
	const lang = await page.evaluate(() => document.documentElement.lang);
	check(lang === view.language, `${what}: came in ${lang}`);
	check((await page.cookies()).length === 0, `${what}: set a cookie`);
	const broken = await page.evaluate(() => [...document.images]
		.filter((i) => !i.complete || i.naturalWidth === 0).map((i) => i.src));
	check(broken.length === 0, `${what}: no picture: ${broken}`);
	await checkAxe(page, what);
	await checkWidth(page, what);
	await checkTargets(page, what);
	const stem = name.replace(".html", "") || "index";
	const picture = await shoot(page, site.name, stem, view.size, view.scheme, view.language);
	if (name === "" && !site.self) {
		const code = readCode(picture);
		check(code === `DCACCOUNT:https://${site.domain}/new`, `${what}: the code says ${code}`);
	}
	if (view.size === "desktop")
		await checkKeyboard(page, what);
	await page.close();
}

async function visitAll(browser, site, pages) {
	for (const name of pages) {
		for (const size of Object.keys(SIZES)) {
			for (const scheme of SCHEMES) {
				for (const language of Object.keys(LANGUAGES))
					await visit(browser, site, name, { size, scheme, language });
			}
		}
	}
}

// Which page a browser gets, by what it asks for.
async function checkLanguages(browser, site) {
	const cases = [
		["fr-FR,fr;q=0.9,de;q=0.5", "/", "de"],
		["fr,it;q=0.5", "/", "en"],
		["en-GB,de;q=0.5", "/info.html", "en"],
		["de", "/info.en.html", "en"],
		["en", "/index.de.html", "de"],
	];
	for (const [header, name, wanted] of cases) {
		const page = await openPage(browser, site, { size: "phone", scheme: "light", language: "en" });
		await page.setExtraHTTPHeaders({ "Accept-Language": header });
		await page.goto(site.url + name);
		const lang = await page.evaluate(() => document.documentElement.lang);
		check(lang === wanted, `${name} for ${header}: came in ${lang}`);
		await page.close();
	}
}

// Every link of ours leads somewhere, and the other language stays chosen.
async function checkLinks(browser, site) {
	const view = { size: "desktop", scheme: "light", language: "de" };
	const page = await openPage(browser, site, view);
	const seen = new Set();
	const open = [`${site.url}/index.en.html`, `${site.url}/`];
	while (open.length > 0) {
		const url = open.pop();
		if (seen.has(url))
			continue;
		seen.add(url);
		const answer = await page.goto(url);
		check(answer.status() === 200, `${url}: status ${answer.status()}`);
		const wanted = /\.en\.html$/.test(url) ? "en" : "de";
		const found = await page.evaluate(() => ({
			lang: document.documentElement.lang,
			links: [...document.querySelectorAll("nav a, main a, footer a")].map((a) => a.href),
		}));
		check(found.lang === wanted, `${url}: is in ${found.lang}`);
		open.push(...found.links.filter((link) => link.startsWith(site.url) && !link.includes("#")));
	}
	check(seen.size >= 9, `only ${seen.size} pages were found by links`);
	await page.close();
}

// --- the echo bot -----------------------------------------------------------------------

// The link on the home page leads to the invitation that the daemon knows, or is of no use
// for a while.
async function checkInvitation(browser, site, daemon, language) {
	const what = `${site.name} ${language}`;
	const invitation = "https://i.delta.chat/#0123ABCD&v=3&i=x&s=y&a=echo%40bot.example.org";
	const page = await browser.newPage();
	const answers = [];
	page.on("response", (response) => answers.push(response));
	await page.setExtraHTTPHeaders({ "Accept-Language": LANGUAGES[language] });
	daemon.answer = { status: 302, body: "302 Found\n", headers: { Location: invitation } };
	await page.goto(`${site.url}/`);
	// There is no network behind it.
	await Promise.all([
		page.waitForNavigation({ timeout: 10000 }).catch(() => {}),
		page.click("main a[href='/echobot']"),
	]);
	const answer = answers.find((a) => a.url() === `${site.url}/echobot`);
	check(answer && answer.status() === 302, `${what}: no way to the bot`);
	check(answer && answer.headers().location === invitation,
		`${what}: the way to the bot leads to ${answer && answer.headers().location}`);
	check(answer && answer.headers()["cache-control"] === "no-store", `${what}: it is kept`);
	await page.close();
}

async function visitWithBot(browser, site) {
	const daemon = await standIn(path.join(sites, site.name, "http.sock"));
	await visitAll(browser, site, [""]);
	for (const language of Object.keys(LANGUAGES)) {
		await visit(browser, site, "privacy.html", { size: "phone", scheme: "light", language });
		await checkInvitation(browser, site, daemon, language);
	}
	daemon.close();
}

// --- while the pages are edited -----------------------------------------------------------

// The page in the browser, left alone, becomes the one that was saved last.
async function checkEditing(browser, site) {
	const source = path.join(sites, site.name, "www/src/info.md");
	const text = fs.readFileSync(source, "utf8");
	const page = await openPage(browser, { ...site, failing: true },
		{ size: "desktop", scheme: "light", language: "en" });
	const shows = (what) => page.waitForFunction(
		(wanted) => document.body && document.body.textContent.includes(wanted),
		{ timeout: 20000, polling: 200 }, what)
		.catch(() => check(false, `webdev: never shows ${what}`));
	await page.goto(`${site.url}/info.html`);
	await shows("About chat.example.org");
	fs.writeFileSync(source, text.replace("# About", "# All about"));
	await shows("All about chat.example.org");
	fs.writeFileSync(source, `${text}\n{{ config.nothing }}\n`);
	await shows("info.md:");
	await shows("config.nothing");
	await shoot(page, site.name, "mistake");
	fs.writeFileSync(source, text);
	await shows("About chat.example.org");
	await page.close();
}

// --- the page of a self-signed relay --------------------------------------------------

// The daemon, as far as a page knows it: what it never says, and what must be known
// beforehand.
function standIn(socket) {
	const daemon = { answer: null, asked: 0 };
	const server = http.createServer((request, response) => {
		const { status, body, headers } = daemon.answer;
		daemon.asked++;
		response.writeHead(status, { "Content-Type": "application/json", ...headers });
		response.end(body);
	});
	daemon.close = () => server.close();
	return new Promise((resolve) => server.listen(socket, () => {
		fs.chmodSync(socket, 0o666);
		resolve(daemon);
	}));
}

async function clickAndWait(page, selector) {
	await page.click("#dclogin-link");
	await page.waitForSelector(selector, { visible: true, timeout: 10000 });
}

async function checkLogin(browser, site, daemon, view) {
	const what = `${site.name} login ${Object.values(view).join(" ")}`;
	const page = await openPage(browser, site, view);
	const url = `dclogin:abc123xyz@${site.domain}?p=p%40ss%2Bw%22rd%26&v=1&ic=3`;
	daemon.answer = { status: 200, body: JSON.stringify({ dclogin_url: url }) };
	daemon.asked = 0;
	await page.goto(`${site.url}/`, { waitUntil: "load" });
	check(daemon.asked === 0, `${what}: asked before the click`);
	await clickAndWait(page, "#qr-code svg");
	const picture = await shoot(page, site.name, "login", view.size, view.scheme, view.language);
	check(readCode(picture) === url, `${what}: the code says ${readCode(picture)}`);
	for (const id of ["dclogin-link", "qr-link"]) {
		const href = await page.$eval(`#${id}`, (a) => a.href);
		check(href === url, `${what}: ${id} leads to ${href}`);
	}
	await page.click("#dclogin-link");
	check(daemon.asked === 1, `${what}: asked ${daemon.asked} times`);
	await checkAxe(page, what);
	await checkWidth(page, what);
	await page.close();
}

async function checkRefusal(browser, site, daemon, answer, text) {
	const view = { size: "phone", scheme: "dark", language: "en" };
	const what = `${site.name} ${answer.status} ${answer.body.slice(0, 30)}`;
	// A failed answer is told on the console, by the browser itself.
	const page = await openPage(browser, { ...site, failing: true }, view);
	daemon.answer = answer;
	await page.goto(`${site.url}/`, { waitUntil: "load" });
	await clickAndWait(page, "#dclogin-error");
	const said = await page.$eval("#dclogin-error", (e) => e.textContent);
	check(said.includes(text), `${what}: said ${said}`);
	const markup = await page.$$eval("#dclogin-error *", (all) => all.length);
	check(markup === 0, `${what}: a reason became markup`);
	await checkAxe(page, what);
	await shoot(page, site.name, "refused", view.size, view.scheme);
	await page.close();
}

async function visitSelfSigned(browser, site) {
	const daemon = await standIn(path.join(sites, site.name, "http.sock"));
	await visitAll(browser, site, [""]);
	for (const size of Object.keys(SIZES)) {
		for (const scheme of SCHEMES)
			await checkLogin(browser, site, daemon, { size, scheme, language: "de" });
	}
	const refusals = [
		[{ status: 503, body: '{"reason": "Closed <b>today</b>"}' }, "Closed <b>today</b>"],
		[{ status: 502, body: "<html>" }, "no address right now"],
		[{ status: 200, body: '{"dclogin_url": "javascript:alert(1)"}' }, "no address right now"],
		[{ status: 200, body: "{}" }, "no address right now"],
	];
	for (const [answer, text] of refusals)
		await checkRefusal(browser, site, daemon, answer, text);
	daemon.close();
}

// With the daemon's own /new.
async function checkLive(browser, site) {
	const view = { size: "phone", scheme: "light", language: "en" };
	const codes = new Set();
	for (let visits = 0; visits < 2; visits++) {
		const page = await openPage(browser, site, view);
		await page.goto(`${site.url}/`, { waitUntil: "load" });
		await clickAndWait(page, "#qr-code svg");
		const code = readCode(await shoot(page, site.name, "login"));
		const href = await page.$eval("#dclogin-link", (a) => a.href);
		const link = /^dclogin:[a-z0-9]{9}@(.+)\?p=[^&]+&v=1&ic=3$/.exec(code);
		check(link !== null && link[1] === site.domain, `${site.name}: the code says ${code}`);
		check(href === code, `${site.name}: the button leads to ${href}, the code to ${code}`);
		codes.add(code);
		await page.close();
	}
	check(codes.size === 2, `${site.name}: twice the same login`);
}

async function checkFull(browser, site) {
	const view = { size: "phone", scheme: "light", language: "en" };
	const page = await openPage(browser, { ...site, failing: true }, view);
	await page.goto(`${site.url}/`, { waitUntil: "load" });
	await clickAndWait(page, "#dclogin-error");
	const said = await page.$eval("#dclogin-error", (e) => e.textContent);
	check(said.includes("This server is too busy"), `${site.name}: said ${said}`);
	await page.close();
}

// ---------------------------------------------------------------------------------------

function readSite(name, domain, self) {
	const port = fs.readFileSync(path.join(sites, name, "port"), "utf8").trim();
	return { name, domain, self, host: `${domain}:${port}`, url: `https://${domain}:${port}` };
}

async function main() {
	const plain = readSite("plain", "chat.example.org", false);
	const self = readSite("self", "_chat.example.org", true);
	const browser = await puppeteer.launch({
		executablePath: "/usr/bin/chromium",
		args: ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * 127.0.0.1",
			"--ignore-certificate-errors"],
	});
	try {
		await visitAll(browser, plain, PAGES);
		await checkLanguages(browser, plain);
		await checkLinks(browser, plain);
		await visitWithBot(browser, readSite("bot", "bot.example.org", false));
		await visitSelfSigned(browser, self);
		await checkLive(browser, readSite("live", "_live.example.org", true));
		await checkFull(browser, readSite("full", "_full.example.org", true));
		const editing = readSite("editing", "127.0.0.1", false);
		await checkEditing(browser, { ...editing, url: editing.url.replace("https:", "http:") });
	} finally {
		await browser.close();
	}
	for (const mistake of mistakes)
		console.error(mistake);
	console.log(`${checks} checks, ${mistakes.length} mistakes`);
	process.exit(mistakes.length > 0 ? 1 : 0);
}

main().catch((error) => {
	console.error(error);
	process.exit(1);
});
