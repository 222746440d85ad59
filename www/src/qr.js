// QR codes (ISO/IEC 18004): byte mode, error correction level M, versions 1 to 20, which hold
// 666 bytes. qrMatrix(text) gives rows of booleans, true is dark; null if the text is too long.
"use strict";

const qrMatrix = (() => {
	// By version, from 1: codewords for error correction in each block, and blocks.
	const CORRECTION = [
		10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26,
	];
	const BLOCKS = [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16];
	const LEVEL_M = 0;

	const MASKS = [
		(x, y) => (x + y) % 2,
		(x, y) => y % 2,
		(x, y) => x % 3,
		(x, y) => (x + y) % 3,
		(x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2,
		(x, y) => ((x * y) % 2) + ((x * y) % 3),
		(x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2,
		(x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
	];

	const sizeOf = (version) => 17 + 4 * version;

	// The centres of the alignment patterns, on both axes.
	function alignment(version) {
		if (version === 1)
			return [];
		const n = Math.floor(version / 7) + 2;
		const step = Math.floor((version * 8 + n * 3 + 5) / (n * 4 - 4)) * 2;
		const at = [6];
		for (let i = n - 2; i >= 0; i--)
			at.push(sizeOf(version) - 7 - i * step);
		return at;
	}

	// Bytes that the modules hold which no pattern takes.
	function codewords(version) {
		let modules = (16 * version + 128) * version + 64;
		if (version > 1) {
			const n = alignment(version).length;
			modules -= (25 * n - 10) * n - 55;
		}
		if (version > 6)
			modules -= 36;
		return Math.floor(modules / 8);
	}

	const dataCodewords = (version) =>
		codewords(version) - CORRECTION[version - 1] * BLOCKS[version - 1];

	// Mode, length and text, filled up: as bytes.
	function dataBytes(text, version) {
		const bits = [];
		const put = (value, n) => {
			while (n-- > 0)
				bits.push((value >> n) & 1);
		};
		const room = dataCodewords(version) * 8;
		put(4, 4);
		put(text.length, version < 10 ? 8 : 16);
		for (const byte of text)
			put(byte, 8);
		put(0, Math.min(4, room - bits.length));
		put(0, (8 - (bits.length % 8)) % 8);
		for (let fill = 0xec; bits.length < room; fill ^= 0xec ^ 0x11)
			put(fill, 8);
		const bytes = [];
		for (let i = 0; i < bits.length; i += 8)
			bytes.push(bits.slice(i, i + 8).reduce((sum, bit) => sum * 2 + bit, 0));
		return bytes;
	}

	// In the field of 256 elements with x^8 + x^4 + x^3 + x^2 + 1.
	function multiply(a, b) {
		let product = 0;
		for (let i = 7; i >= 0; i--) {
			product = (product << 1) ^ ((product >> 7) * 0x11d);
			product ^= ((b >> i) & 1) * a;
		}
		return product;
	}

	// Coefficients of (x - 1)(x - 2)(x - 4)..., without the leading 1.
	function generator(degree) {
		const poly = new Array(degree).fill(0);
		poly[degree - 1] = 1;
		for (let i = 0, root = 1; i < degree; i++, root = multiply(root, 2)) {
			for (let j = 0; j < degree; j++)
				poly[j] = multiply(poly[j], root) ^ (j + 1 < degree ? poly[j + 1] : 0);
		}
		return poly;
	}

	function remainder(data, divisor) {
		const rest = new Array(divisor.length).fill(0);
		for (const byte of data) {
			const factor = byte ^ rest.shift();
			rest.push(0);
			divisor.forEach((c, i) => {
				rest[i] ^= multiply(c, factor);
			});
		}
		return rest;
	}

	// Cut into blocks, the shorter ones first, with their correction; then interleaved.
	function interleave(data, version) {
		const n = BLOCKS[version - 1];
		const short = Math.floor(data.length / n);
		const divisor = generator(CORRECTION[version - 1]);
		const blocks = [];
		for (let i = 0, at = 0; i < n; i++) {
			const len = short + (i >= n - (data.length % n) ? 1 : 0);
			const block = data.slice(at, at + len);
			blocks.push({ data: block, correction: remainder(block, divisor) });
			at += len;
		}
		const out = [];
		for (let i = 0; i <= short; i++) {
			for (const block of blocks) {
				if (i < block.data.length)
					out.push(block.data[i]);
			}
		}
		for (let i = 0; i < divisor.length; i++) {
			for (const block of blocks)
				out.push(block.correction[i]);
		}
		return out;
	}

	// value with the remainder of a division by poly (Bose, Chaudhuri, Hocquenghem).
	function withCheck(value, poly, degree) {
		let rest = value;
		for (let i = 0; i < degree; i++)
			rest = (rest << 1) ^ ((rest >> (degree - 1)) * poly);
		return (value << degree) | rest;
	}

	class Drawing {
		constructor(version) {
			this.version = version;
			this.size = sizeOf(version);
			this.dark = Array.from({ length: this.size }, () =>
				new Array(this.size).fill(false));
			this.taken = this.dark.map((row) => row.slice());
		}

		set(x, y, dark) {
			if (x < 0 || y < 0 || x >= this.size || y >= this.size)
				return;
			this.dark[y][x] = Boolean(dark);
			this.taken[y][x] = true;
		}

		// A square of rings: ring says which distances from the centre are light.
		rings(x, y, radius, light) {
			for (let dy = -radius; dy <= radius; dy++) {
				for (let dx = -radius; dx <= radius; dx++) {
					const ring = Math.max(Math.abs(dx), Math.abs(dy));
					this.set(x + dx, y + dy, !light.includes(ring));
				}
			}
		}

		patterns() {
			const last = this.size - 1;
			for (let i = 0; i < this.size; i++) {
				this.set(6, i, i % 2 === 0);
				this.set(i, 6, i % 2 === 0);
			}
			for (const [x, y] of [[3, 3], [last - 3, 3], [3, last - 3]])
				this.rings(x, y, 4, [2, 4]);
			const at = alignment(this.version);
			const end = at.length - 1;
			at.forEach((x, i) => at.forEach((y, j) => {
				const finder = (i === 0 && (j === 0 || j === end)) || (i === end && j === 0);
				if (!finder)
					this.rings(x, y, 2, [1]);
			}));
			this.format(0);
			if (this.version > 6)
				this.versionBits();
		}

		// Level and mask, twice.
		format(mask) {
			const bits = withCheck((LEVEL_M << 3) | mask, 0x537, 10) ^ 0x5412;
			const bit = (i) => (bits >> i) & 1;
			const last = this.size - 1;
			for (let i = 0; i < 15; i++) {
				const line = i < 6 ? i : i < 8 ? i + 1 : 15 - i - 1;
				if (i < 8)
					this.set(8, line, bit(i));
				else
					this.set(i === 8 ? 7 : line, 8, bit(i));
				if (i < 8)
					this.set(last - i, 8, bit(i));
				else
					this.set(8, last - 14 + i, bit(i));
			}
			this.set(8, last - 7, true);
		}

		versionBits() {
			const bits = withCheck(this.version, 0x1f25, 12);
			for (let i = 0; i < 18; i++) {
				const a = this.size - 11 + (i % 3);
				const b = Math.floor(i / 3);
				this.set(a, b, (bits >> i) & 1);
				this.set(b, a, (bits >> i) & 1);
			}
		}

		// In columns of two from the right, up and down in turns.
		bytes(bytes) {
			let i = 0;
			for (let right = this.size - 1; right > 0; right -= 2) {
				if (right === 6)
					right = 5;
				for (let step = 0; step < this.size; step++) {
					const up = ((right + 1) & 2) === 0;
					const y = up ? this.size - 1 - step : step;
					for (const x of [right, right - 1]) {
						if (!this.taken[y][x] && i < bytes.length * 8) {
							this.dark[y][x] = ((bytes[i >> 3] >> (7 - (i & 7))) & 1) === 1;
							i++;
						}
					}
				}
			}
		}

		// Its own inverse.
		mask(mask) {
			for (let y = 0; y < this.size; y++) {
				for (let x = 0; x < this.size; x++) {
					if (!this.taken[y][x] && MASKS[mask](x, y) === 0)
						this.dark[y][x] = !this.dark[y][x];
				}
			}
		}

		// How hard it is to read, section 7.8.3.
		penalty() {
			const rows = this.dark.map((row) => row.map(Number).join(""));
			const columns = rows.map((_, x) => rows.map((row) => row[x]).join(""));
			let sum = 0;
			for (const line of rows.concat(columns)) {
				for (const run of line.match(/0{5,}|1{5,}/g) || [])
					sum += run.length - 2;
				for (const like of ["10111010000", "00001011101"]) {
					for (let at = line.indexOf(like); at >= 0; at = line.indexOf(like, at + 1))
						sum += 40;
				}
			}
			let dark = 0;
			for (let y = 0; y < this.size; y++) {
				for (let x = 0; x < this.size; x++) {
					dark += this.dark[y][x];
					if (x > 0 && y > 0 && rows[y][x] === rows[y][x - 1] &&
						rows[y][x] === rows[y - 1][x] && rows[y][x] === rows[y - 1][x - 1])
						sum += 3;
				}
			}
			const percent = (100 * dark) / (this.size * this.size);
			return sum + 10 * Math.floor(Math.abs(percent - 50) / 5);
		}
	}

	function fittingVersion(length) {
		for (let version = 1; version <= BLOCKS.length; version++) {
			if (length + (version < 10 ? 2 : 3) <= dataCodewords(version))
				return version;
		}
		return 0;
	}

	return (string) => {
		const text = new TextEncoder().encode(string);
		const version = fittingVersion(text.length);
		if (!version)
			return null;
		const drawing = new Drawing(version);
		drawing.patterns();
		drawing.bytes(interleave(dataBytes(text, version), version));
		let best = 0;
		let least = Infinity;
		for (let mask = 0; mask < MASKS.length; mask++) {
			drawing.mask(mask);
			drawing.format(mask);
			const penalty = drawing.penalty();
			if (penalty < least) {
				least = penalty;
				best = mask;
			}
			drawing.mask(mask);
		}
		drawing.mask(best);
		drawing.format(best);
		return drawing.dark;
	};
})();
