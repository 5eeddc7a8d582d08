// Pictures say what lies under the pointer, zoom with the wheel, move when dragged, and reset on a double click.
const save = (name, kind, text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: kind}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const tool = (words, title, act) => {
  const button = Object.assign(document.createElement("button"), {type: "button", textContent: words, title});
  button.addEventListener("click", act);
  return button;
};
const tools = (...buttons) => {
  const row = Object.assign(document.createElement("div"), {className: "tools"});
  row.append(...buttons);
  return row;
};
const fileName = (element, ending) => {
  const headings = [...document.querySelectorAll("h1, h2")];
  const above = headings.filter(one => one.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING);
  const words = above.length ? above[above.length - 1].textContent : document.title;
  return words.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") + ending;
};
const NEAR_PIXELS = 18;
const said = Object.assign(document.createElement("div"), {id: "said"}), ring = Object.assign(document.createElement("div"), {id: "ring"});
said.setAttribute("role", "status");

for (const frame of document.querySelectorAll("figure")) {
  const svg = frame.querySelector("svg");
  if (!svg) continue;
  const home = svg.getAttribute("viewBox"), width = svg.viewBox.baseVal.width;
  const data = frame.querySelector("script"), spots = data ? JSON.parse(data.textContent) : [];
  const show = (box) => { svg.setAttribute("viewBox", box.join(" ")); hide(); };
  const hide = () => { said.remove(); ring.remove(); };
  const scale = () => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  const at = (event) => {
    const edge = svg.getBoundingClientRect(), box = svg.viewBox.baseVal;
    return [box.x + (event.clientX - edge.x) / scale(), box.y + (event.clientY - edge.y) / scale()];
  };
  const nearest = (x, y) => {
    let best = null, least = NEAR_PIXELS / scale();
    for (const spot of spots) {
      const distance = Math.hypot(spot[0] - x, spot[1] - y);
      if (distance < least) [best, least] = [spot, distance];
    }
    return best;
  };
  const say = (spot) => {
    if (!spot) return hide();
    const box = svg.viewBox.baseVal, left = (spot[0] - box.x) * scale(), top = (spot[1] - box.y) * scale();
    said.textContent = spot[2];
    frame.append(ring, said);
    ring.style.left = left + "px"; ring.style.top = top + "px";
    // At the side where there is room, and never beyond the figure's edge.
    const room = frame.clientWidth - said.offsetWidth;
    said.style.left = Math.max(0, Math.min(room, left + (left > room - 14 ? -said.offsetWidth - 14 : 14))) + "px";
    said.style.top = Math.max(0, top - said.offsetHeight / 2) + "px";
  };
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    const box = svg.viewBox.baseVal, [x, y] = at(event), turns = event.deltaY || event.deltaX;
    const factor = Math.min(width / box.width, Math.max(0.05, Math.exp(turns / 500)));
    show([x - (x - box.x) * factor, y - (y - box.y) * factor, box.width * factor, box.height * factor]);
  }, {passive: false});
  let held = null, moved = false;
  svg.addEventListener("pointerdown", (event) => { held = at(event); moved = false; svg.setPointerCapture(event.pointerId); });
  svg.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (!held) return say(nearest(x, y));
    const box = svg.viewBox.baseVal;
    moved ||= Math.hypot(x - held[0], y - held[1]) * scale() > 3;
    if (moved) show([box.x + held[0] - x, box.y + held[1] - y, box.width, box.height]);
  });
  svg.addEventListener("pointerup", (event) => {
    const spot = moved ? null : nearest(...at(event));
    held = null;
    // A click on a run goes to its row, if the page has it.
    if (spot && spot[3] && document.getElementById("run-" + spot[3])) location.hash = "run-" + spot[3];
    else if (spot) say(spot);
  });
  svg.addEventListener("pointerleave", () => { if (!held) hide(); });
  svg.addEventListener("dblclick", () => show(home.split(" ")));
  // Without a pointer: arrow keys go from point to point, from left to right.
  if (spots.length) {
    const order = [...spots].sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    let place = -1;
    frame.tabIndex = 0;
    frame.addEventListener("keydown", (event) => {
      const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (!step) return;
      event.preventDefault();
      place = Math.max(0, Math.min(order.length - 1, place + step));
      say(order[place]);
    });
    frame.addEventListener("blur", hide);
  }
  frame.after(tools(tool("SVG", "save this picture", () => {
    // In the colours of a white page, which every program knows.
    const text = new XMLSerializer().serializeToString(svg).replace(/var\(--\w+, (#\w+)\)/g, "$1");
    save(fileName(frame, ".svg"), "image/svg+xml", text);
  })));
}
