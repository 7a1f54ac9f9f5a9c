// What is wrong with a page as it is shown, as a list of sentences: text and charts that leave their box or the page,
// chart labels on top of each other, and text with less contrast than 4.5:1 (WCAG 2.1, criterion 1.4.3).
(() => {
  const found = [];
  const shown = (e) => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== "hidden";
  const say = (what, e) => found.push(`${what}: <${e.tagName.toLowerCase()}> "${e.textContent.trim().slice(0, 60)}"`);
  const hidden = (e) => e.closest(".skip, .md-skip, [hidden], .md-search, .md-sidebar, .md-top, .headerlink, button");
  const scrolls = (e) => {
    for (let up = e; up; up = up.parentElement) {
      if (up !== document.documentElement && up !== document.body && /auto|scroll/.test(getComputedStyle(up).overflowX)) return true;
    }
    return false;
  };

  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth + 1) found.push(`the page is ${page.scrollWidth} wide, its window ${page.clientWidth}`);
  for (const e of document.body.querySelectorAll("*")) {
    if (!shown(e) || hidden(e) || e.closest("svg") || scrolls(e)) continue;
    if (e.getBoundingClientRect().right > page.clientWidth + 1) say("leaves the page", e);
    const style = getComputedStyle(e);
    if (style.display !== "inline" && e.scrollWidth > e.clientWidth + 2 && !e.matches("input, img, dl.facts")) say("leaves its box", e);
    else if (/hidden|clip/.test(style.overflowX) && e.scrollWidth > e.clientWidth + 2) say("is clipped", e);
  }

  for (const chart of document.querySelectorAll("svg.chart")) {
    if (!shown(chart)) continue;
    const box = chart.getBoundingClientRect();
    const texts = [...chart.querySelectorAll("text")].map((e) => [e, e.getBoundingClientRect()]);
    for (const [e, r] of texts) {
      if (r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1 || r.bottom > box.bottom + 1) say("leaves its chart", e);
    }
    texts.forEach(([e, r], k) => {
      for (const [f, s] of texts.slice(k + 1)) {
        const wide = Math.min(r.right, s.right) - Math.max(r.left, s.left);
        const high = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
        if (wide > 1 && high > 0.35 * Math.min(r.height, s.height)) say(`lies on "${f.textContent.trim()}"`, e);
      }
    });
  }

  const channels = (colour) => (colour.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const over = (top, under) => {
    const a = top[3] ?? 1;
    return [0, 1, 2].map((k) => a * top[k] + (1 - a) * under[k]);
  };
  const ground = (e) => {
    const layers = [];
    for (let up = e; up; up = up.parentElement) layers.push(channels(getComputedStyle(up).backgroundColor));
    const dark = matchMedia("(prefers-color-scheme: dark)").matches && !matchMedia("print").matches;
    return layers.reverse().reduce((under, top) => over(top, under), dark ? [18, 18, 18] : [255, 255, 255]);
  };
  const light = (c) => {
    const [r, g, b] = c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  for (const e of document.body.querySelectorAll("*")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !shown(e) || hidden(e) || e.matches("script, style, title, desc, option")) continue;
    const style = getComputedStyle(e);
    const under = ground(e);
    const ink = over(channels(e.closest("svg") ? style.fill : style.color), under);
    const [low, high] = [light(ink), light(under)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) say(`contrast ${ratio.toFixed(2)}`, e);
  }
  return found;
})()
