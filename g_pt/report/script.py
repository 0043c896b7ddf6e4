"""What the page does in the browser: figures in the page's colours, and their images and numbers as files."""

from g_pt.report import marks

_SCRIPT = """
(() => {
  const source = document.getElementById("figures").textContent;
  const elements = Array.from(document.querySelectorAll(".plot"));
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  const theme = () => {
    const font = {color: colour("muted")};
    const axis = {
      gridcolor: colour("grid"), linecolor: colour("line"), tickcolor: colour("line"), zeroline: false,
      showline: true, ticks: "outside", ticklen: 4, automargin: true
    };
    const bar = [{colorbar: {outlinewidth: 0, tickcolor: colour("line")}}];
    return {data: {heatmap: bar, contour: bar}, layout: {
      font: {family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("muted")},
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
      hoverlabel: {bgcolor: colour("page"), bordercolor: colour("line"), font: {color: colour("ink")}},
      modebar: {bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("ink")},
      annotationdefaults: {font},
      sliderdefaults: {
        bgcolor: colour("line"), bordercolor: colour("line"), activebgcolor: colour("muted"),
        tickcolor: colour("line"), font
      },
      updatemenudefaults: {bgcolor: colour("panel"), bordercolor: colour("line"), font}
    }};
  };

  // The modebar has no image button: each figure has one of its own, in sight.
  const config = {
    responsive: true, displaylogo: false, showSendToCloud: false,
    modeBarButtonsToRemove: ["toImage", "select2d", "lasso2d", "autoScale2d"]
  };
  const draw = (element, {data, layout, frames}) => {
    if (innerWidth < 600) {
      // The legend takes a line for each entry. Labels with leaders would be cut off; the tables have their numbers.
      const named = data.filter(trace => trace.showlegend !== false && trace.name);
      for (const trace of named) {
        if (trace.name.length > 40) trace.name = trace.name.replace(/, ([^,]*)$/, ",<br>$1");
        layout.height += trace.name.includes("<br>") ? 36 : 20;
      }
      layout.margin.r = 16;
      layout.annotations = (layout.annotations || []).filter(label => label.showarrow === false);
    }
    Plotly.newPlot(element, {data, layout: {...layout, template: theme()}, frames, config});
  };
  const figures = JSON.parse(source);
  for (const element of elements) draw(element, figures[element.id]);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const element of elements) Plotly.relayout(element, {template: theme()});
  });

  const sliderHeight = $slider;
  const named = element => element.getAttribute("aria-label");
  const file = element => named(element).toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

  // As it is now, at the step that a slider is at, with its title and on the page's ground.
  const saveImage = element => {
    const {width, height} = element.getBoundingClientRect();
    const {margin, sliders, updatemenus, ...rest} = element.layout;
    const below = sliders && sliders.length ? sliderHeight : 0;
    const title = {text: named(element), x: 0.02, y: 0.98, yanchor: "top", font: {size: 15, color: colour("ink")}};
    const size = {width, height: height + 36 - below};
    const layout = {
      ...rest, ...size, title, margin: {...margin, t: margin.t + 36, b: margin.b - below}, autosize: false,
      paper_bgcolor: colour("page")
    };
    const options = {...size, format: "png", scale: 2, filename: file(element)};
    return Plotly.downloadImage({data: element.data, layout}, options);
  };

  // In the figures' JSON an array of numbers is base64.
  const kinds = {
    f4: Float32Array, f8: Float64Array, i1: Int8Array, i2: Int16Array, i4: Int32Array, u1: Uint8Array,
    u2: Uint16Array, u4: Uint32Array
  };
  const values = coded => {
    if (!coded || !coded.bdata) return coded;
    const bytes = Uint8Array.from(atob(coded.bdata), letter => letter.charCodeAt(0));
    const digits = coded.dtype === "f4" ? 7 : 17; // that a number has
    const flat = Array.from(new kinds[coded.dtype](bytes.buffer), value => Number(value.toPrecision(digits)));
    const length = coded.shape ? Number(String(coded.shape).split(",").pop()) : 0;
    if (!length) return flat;
    return Array.from({length: flat.length / length}, (_, i) => flat.slice(i * length, (i + 1) * length));
  };
  const cell = value => {
    if (value === null || value === undefined || Number.isNaN(value)) return "";
    const text = String(value);
    return /[",\\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  // Of a map a row each cell. `meta.values` names what holds the numbers that z is but a scale of colours of.
  const rows = (trace, layout) => {
    let [x, y, z] = ["x", "y", trace.meta && trace.meta.values || "z"].map(name => values(trace[name]));
    if (z && z.length && typeof z[0] === "object") {
      return z.flatMap((row, i) => Array.from(row, (value, j) => [x ? x[j] : j, y ? y[i] : i, value]));
    }
    // On a logarithmic axis step 0 stands where its tick says.
    const axis = layout["xaxis" + (trace.xaxis || "x").slice(1)] || {};
    const zero = axis.ticktext && axis.ticktext[0] === "0" ? values(axis.tickvals)[0] : null;
    if (zero !== null && x) x = Array.from(x, value => value === zero ? 0 : value);
    const length = Math.max(0, ...[x, y, z].map(one => one ? one.length : 0));
    return Array.from({length}, (_, i) => [x, y, z].map(one => one ? one[i] : null));
  };
  const numbers = ({data, layout, frames}) => {
    const lines = data.flatMap((trace, i) => rows(trace, layout).map(row => ["", trace.name || i, ...row]));
    for (const frame of frames || []) {
      frame.data.forEach((part, k) => {
        const i = frame.traces ? frame.traces[k] : k, trace = {...data[i], ...part};
        for (const row of rows(trace, layout)) lines.push([frame.name, trace.name || i, ...row]);
      });
    }
    const head = ["frame", "trace", "x", "y", "z"];
    const kept = head.map((name, i) => name === "trace" || name === "x" || name === "y" ||
      lines.some(line => cell(line[i]) !== ""));
    return [head, ...lines].map(line => line.filter((_, i) => kept[i]).map(cell).join(",")).join("\\n") + "\\n";
  };
  const saveNumbers = element => {
    const link = document.createElement("a");
    // From the source: what is drawn may have shorter names.
    link.href = URL.createObjectURL(new Blob([numbers(JSON.parse(source)[element.id])], {type: "text/csv"}));
    link.download = file(element) + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const saves = {png: saveImage, csv: saveNumbers};
  for (const button of document.querySelectorAll("button[data-save]")) {
    const element = document.getElementById(button.dataset.figure);
    button.addEventListener("click", () => saves[button.dataset.save](element));
  }
})();
"""

SCRIPT = _SCRIPT.replace("$slider", str(marks.SLIDER))
