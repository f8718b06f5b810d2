// ---- saving the current view

function save(content, type, file) {
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: file });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
function svgOf(figure) {
  const copy = figure.svg.cloneNode(true);
  const hidden = { sorted: ".marks, .head-numbers", "own-bar": ".bar-ticks, .bar-tips", "own-view": ".signs" };
  for (const [state, parts] of Object.entries(hidden))
    if (figure.plot.classList.contains(state)) copy.querySelectorAll(parts).forEach(part => part.remove());
  copy.setAttribute("width", `${figure.width}pt`);
  copy.setAttribute("height", `${figure.height}pt`);
  draw("desc", {}, copy).textContent = told();
  const text = new XMLSerializer().serializeToString(copy);
  if (!data.images) return text;
  const images = [...figure.svg.querySelectorAll("image")];  // a saved figure holds its images itself
  return text.replace(/<image\b[^>]*>/g, tag => {
    const image = images.shift(), whole = data.images[image.getAttribute("xlink:href")];
    const now = canvases.get(image)?.toDataURL("image/png") ?? whole;
    return tag.replace(/xlink:href="[^"]*"/, () => `xlink:href="${now}"`).replace(/ visibility="\w+"/, "");
  });
}
// A PNG is painted shape by shape: hosts that forbid images made in the page forbid one of the whole figure.
const placed = text => new DOMMatrix((text ?? "").replace(/(\w+)\(([^)]*)\)/g, (_, kind, values) => {
  const unit = { translate: "px", rotate: "deg" }[kind] ?? "";
  return `${kind}(${values.trim().split(/[\s,]+/).map(value => value + unit).join()})`;
}));
async function paintShape(pen, shape) {
  const own = (name, other) => shape.closest(`[${name}]`)?.getAttribute(name) ?? other;
  const [fill, stroke] = [own("fill", "#000"), own("stroke", "none")];
  const { a, b, c, d, e, f } = placed(shape.getAttribute("transform"));
  pen.save();
  pen.transform(a, b, c, d, e, f);
  if (shape.tagName === "image") {
    const whole = bytes(shape.getAttribute("xlink:href").split(",")[1]);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(await createImageBitmap(new Blob([whole], { type: "image/png" })), +own("x", 0), +own("y", 0),
      +own("width"), +own("height"));
  } else if (shape.tagName === "text") {
    pen.font = `${own("font-weight", "normal")} ${parseFloat(own("font-size"))}px ${own("font-family")}`;
    pen.fillStyle = fill;
    pen.fillText(shape.textContent, +own("x", 0), +own("y", 0));
  } else {
    const path = new Path2D(shape.getAttribute("d"));
    Object.assign(pen, { fillStyle: fill, strokeStyle: stroke, lineWidth: own("stroke-width", 1),
      lineCap: own("stroke-linecap", "butt"), lineJoin: own("stroke-linejoin", "miter") });
    pen.setLineDash(own("stroke-dasharray", "").split(/[\s,]+/).filter(Boolean).map(Number));
    if (fill !== "none") pen.fill(path);
    if (stroke !== "none") pen.stroke(path);
  }
  pen.restore();
}
async function png(figure, file) {
  const canvas = make("canvas", { width: 4 * figure.width, height: 4 * figure.height }), pen = canvas.getContext("2d");
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.scale(4, 4);
  const drawn = new DOMParser().parseFromString(svgOf(figure), "image/svg+xml");
  for (const shape of drawn.querySelectorAll("path, text, image")) await paintShape(pen, shape);
  canvas.toBlob(blob => save(blob, "image/png", file));
}
const quoted = text => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
const shortest = value => [6, 7, 8, 9].map(n => +value.toPrecision(n)).find(v => Math.fround(v) === value) ?? value;
function csv(figure) {  // every head in view, layer by layer; text is kept from being read as a formula
  const lines = ["task,block,layer,head,value,low,high,rank"], { block } = figure;
  const tasks = figure.panels[0].task === null ? data.tasks.map((_, t) => t) : figure.panels.map(p => p.task);
  for (const task of tasks) for (let cell = 0; cell < block.size; cell++) {
    if (Number.isNaN(at(block, task, cell)) || !kept(block, task, cell)) continue;
    const bounds = interval(block, task, cell)?.map(v => v.toPrecision(4)) ?? ["", ""];
    lines.push([quoted(data.tasks[task]), block.name ?? "", Math.floor(cell / block.heads), cell % block.heads,
      shortest(at(block, task, cell)), ...bounds, ranked(block, task).rank[cell]].join());
  }
  return `${lines.join("\n")}\n`;
}
for (const figure of figures.filter(f => !f.small)) {  // small maps stand again, larger, with their own buttons
  const stem = figure.id.replace("figure-", ""), bar = make("p", { class: "export" }, "Save this view: ");
  const ways = { SVG: () => save(svgOf(figure), "image/svg+xml", `${stem}.svg`), PNG: () => png(figure, `${stem}.png`),
    CSV: () => save(csv(figure), "text/csv", `${stem}.csv`) };
  for (const [way, act] of Object.entries(ways)) {
    const button = make("button", { type: "button", "aria-label": `Save ${stem} as ${way}` }, way);
    button.onclick = act;
    bar.append(button, " ");
  }
  figure.now = make("span", { class: "now" });
  figure.element.querySelector("figcaption").append(" ", figure.now);
  figure.element.append(bar);
}
