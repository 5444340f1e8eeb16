"use strict";
{
  const form = document.getElementById("filter");
  const { cube, weeks, hours, lines } = JSON.parse(form.dataset.numbers);
  const german = document.documentElement.lang === "de";
  const [CALLS, ANSWERED, MISSED, VOICEMAIL, MACHINE, OWN, TALK, COST] = [0, 1, 2, 3, 4, 5, 6, 7];
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const number = (value, digits = 0) =>
    value.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))/g, form.dataset.separator);
  const share = (part, whole) => `${Math.round((100 * part) / whole)}${german ? "\u202f" : ""}%`;
  const length = (seconds) => {
    if (seconds < 60) return `${seconds} s`;
    const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
    if (minutes < 60) return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
    return `${number(Math.floor(minutes / 60))} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  };

  // What stands there without a filter comes back as it was.
  const written = new Map(all("[data-total], .note").map((one) => [one, one.textContent]));
  const charts = ["days", "costs-chart"].map((name) => document.getElementById(name)).filter(Boolean);
  const bars = charts.map((chart) => all(".bar", chart).map((bar) => {
    const rects = all("rect:not(.unknown)", bar);
    return { bar, rects, before: rects.map((rect) => [rect.getAttribute("y"), rect.getAttribute("height")]) };
  }));
  const cells = all("#heat .cell").map((cell) => ({ cell, text: cell.nextElementSibling,
    before: [cell.getAttribute("class"), cell.nextElementSibling.getAttribute("class"), cell.nextElementSibling.textContent] }));

  const value = (name) => (form.elements[name].value === "" ? null : Number(form.elements[name].value));

  function show() {
    const [period, direction, line] = ["period", "direction", "line"].map(value);
    const filtered = period !== null || direction !== null || line !== null;
    // Only calls that came in have a line.
    const fits = (d, l) => (direction === null || d === direction) && (line === null || (d === 0 && l === line));
    const rows = cube.filter(([p, d, l]) => fits(d, l) && (period === null || p === period));
    const sum = (some, at) => some.reduce((total, row) => total + row[3 + at], 0);
    const totals = Array.from({ length: 8 }, (_, at) => sum(rows, at));

    written.forEach((text, one) => { one.textContent = text; });
    all(".then").forEach((one) => { one.hidden = filtered; });
    all(".unfiltered").forEach((one) => { one.hidden = !filtered; });
    all("[data-all-only]").forEach((one) => { one.hidden = filtered; });
    if (filtered) {
      const texts = { calls: number(totals[CALLS]), answered: number(totals[ANSWERED]), missed: number(totals[MISSED]),
        voicemail: number(totals[VOICEMAIL]), talk: length(totals[TALK]), cost: number(totals[COST], 2) };
      all("[data-total]").forEach((one) => { one.textContent = texts[one.dataset.total]; });
      all(".note").forEach((one) => { one.textContent = ""; });
    }
    form.querySelector("[role=status]").textContent = filtered
      ? form.dataset.shown.replace("{calls}", number(totals[CALLS])).replace("{all}", number(Number(form.dataset.all)))
      : "";

    charts.forEach((chart, which) => {
      const top = Number(chart.dataset.top);
      bars[which].forEach(({ bar, rects, before }, at) => {
        bar.classList.toggle("off", period !== null && at !== period);
        const some = cube.filter(([p, d, l]) => p === at && fits(d, l));
        const [calls, answered, voicemail, own] = [CALLS, ANSWERED, VOICEMAIL, OWN].map((one) => sum(some, one));
        const parts = which === 0 && chart.id === "days"
          ? [answered, voicemail, calls - answered - voicemail - own, own] : [sum(some, COST)];
        let level = 0;
        rects.forEach((rect, part) => {
          const height = (230 * parts[part]) / top;
          level += height;
          const [y, tall] = direction === null && line === null ? before[part] : [230 - level, height];
          rect.setAttribute("y", y);
          rect.setAttribute("height", tall);
        });
      });
    });

    const some = weeks.filter(([d, l]) => fits(d, l));
    const means = hours.map((often, at) => (often < 0.5 ? null : some.reduce((total, row) => total + row[2 + at], 0) / often));
    const most = Math.max(...means);
    cells.forEach(({ cell, text, before }, at) => {
      let [shade, written, mean] = [before[0], before[1], before[2]];
      if ((direction !== null || line !== null) && means[at] !== null) {
        const level = means[at] ? Math.ceil((8 * means[at]) / most) : 0;
        [shade, written] = [`cell q${level}`, `value v${level}`];
        mean = number(means[at], means[at] >= 10 || !means[at] ? 0 : 1);
      }
      cell.setAttribute("class", shade);
      text.setAttribute("class", written);
      text.textContent = mean;
    });

    all(".calls").forEach((table) => {
      let shown = 0;
      all("[data-f]", table).forEach((row) => {
        const [p, d, l] = row.dataset.f.split(" ").map(Number);
        row.hidden = !(fits(d, l) && (period === null || p === period));
        shown += !row.hidden;
      });
      table.nextElementSibling.hidden = shown > 0;
    });
  }

  form.hidden = false;
  form.addEventListener("change", show);
  form.addEventListener("reset", () => setTimeout(show));
  form.addEventListener("submit", (event) => event.preventDefault());
}
