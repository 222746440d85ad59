// The button of a relay with a certificate of its own: apps cannot ask such a relay for an
// address themselves, so the page asks, once it is clicked, and hands the app a complete login.
"use strict";

(() => {
	const QUIET = 4; // modules around a QR code
	const SVG = "http://www.w3.org/2000/svg";
	const TIMEOUT_MS = 15000;

	const element = (id) => document.getElementById(id);
	const link = element("dclogin-link");
	const error = element("dclogin-error");
	let asking = false;

	function drawing(url, label) {
		const rows = qrMatrix(url);
		if (!rows)
			return null;
		const size = rows.length + 2 * QUIET;
		const svg = document.createElementNS(SVG, "svg");
		const path = document.createElementNS(SVG, "path");
		let d = "";
		rows.forEach((row, y) => row.forEach((dark, x) => {
			if (dark)
				d += `M${x + QUIET} ${y + QUIET}h1v1h-1z`;
		}));
		path.setAttribute("d", d);
		svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
		svg.setAttribute("width", "300");
		svg.setAttribute("height", "300");
		svg.setAttribute("shape-rendering", "crispEdges");
		svg.setAttribute("role", "img");
		svg.setAttribute("aria-label", label);
		svg.append(path);
		return svg;
	}

	function show(url) {
		const svg = drawing(url, element("qr-hint").textContent);
		link.href = url;
		element("qr-link").href = url;
		if (svg) {
			element("qr-code").replaceChildren(svg);
			element("qr-link").hidden = false;
			element("qr-hint").hidden = false;
		}
		element("dclogin-note").hidden = true;
	}

	async function ask() {
		const abort = new AbortController();
		setTimeout(() => abort.abort(), TIMEOUT_MS);
		const answer = await fetch("/new", { cache: "no-store", signal: abort.signal });
		const login = await answer.json();
		if (!answer.ok)
			throw new Error(login.reason || "");
		if (!String(login.dclogin_url).startsWith("dclogin:"))
			throw new Error("");
		return login.dclogin_url;
	}

	async function onClick(event) {
		if (link.href.startsWith("dclogin:"))
			return; // asked before: the link itself will do
		event.preventDefault();
		if (asking)
			return;
		asking = true;
		error.hidden = true;
		try {
			const url = await ask();
			show(url);
			window.location.href = url;
		} catch (failure) {
			// A reason comes from the relay, for people; other errors from the browser.
			if (failure.constructor === Error && failure.message)
				error.textContent = failure.message;
			error.hidden = false;
		} finally {
			asking = false;
		}
	}

	link.addEventListener("click", onClick);
})();
