// Pictures zoom with the wheel, move when dragged, and reset on a double click.
for (const svg of document.querySelectorAll("figure svg")) {
  const home = svg.getAttribute("viewBox"), width = svg.viewBox.baseVal.width;
  const show = (box) => svg.setAttribute("viewBox", box.join(" "));
  const at = (event) => {
    const frame = svg.getBoundingClientRect(), box = svg.viewBox.baseVal;
    return [box.x + box.width * (event.clientX - frame.x) / frame.width,
            box.y + box.height * (event.clientY - frame.y) / frame.height];
  };
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    const box = svg.viewBox.baseVal, [x, y] = at(event), turns = event.deltaY || event.deltaX;
    const factor = Math.min(width / box.width, Math.max(0.05, Math.exp(turns / 500)));
    show([x - (x - box.x) * factor, y - (y - box.y) * factor, box.width * factor, box.height * factor]);
  }, {passive: false});
  let held = null;
  svg.addEventListener("pointerdown", (event) => { held = at(event); svg.setPointerCapture(event.pointerId); });
  svg.addEventListener("pointermove", (event) => {
    if (!held) return;
    const box = svg.viewBox.baseVal, [x, y] = at(event);
    show([box.x + held[0] - x, box.y + held[1] - y, box.width, box.height]);
  });
  svg.addEventListener("pointerup", () => { held = null; });
  svg.addEventListener("dblclick", () => svg.setAttribute("viewBox", home));
}
