"use strict";
// Point clouds: the views of one cloud share a camera. Each is drawn with a depth buffer; pictures stand in for them in print.
(() => {
  const COVER = 2.2, SHADE = 0.35, MOST_SHADE = 8, STILL = [150, 150, 150];
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  function unpacked(data) {
    const numbers = new Uint16Array(bytes(data.points).buffer);
    const clean = Float32Array.from(numbers, (number, i) => data.origin[i % 3] + number * data.step);
    const moved = data.moves.map((text, arm) => {
      const move = new Int8Array(bytes(text).buffer);
      return clean.map((value, i) => value + move[i] * data.moveSteps[arm]);
    });
    return { clean, moved };
  }

  function axesOf({ turn, height }) {
    const [t, h] = [turn, height].map((angle) => (angle * Math.PI) / 180);
    const ahead = [-Math.sin(t), Math.cos(t)];
    return [
      [Math.cos(t), Math.sin(t), 0],
      [Math.sin(h) * ahead[0], Math.sin(h) * ahead[1], Math.cos(h)],
      [-Math.cos(h) * ahead[0], -Math.cos(h) * ahead[1], Math.sin(h)],
    ];
  }

  function extent(clouds, axes, middle) {
    const most = [1e-9, 1e-9];
    for (const points of clouds) {
      for (let i = 0; i < points.length; i += 3) {
        for (let k = 0; k < 2; k++) {
          const axis = axes[k];
          const place = axis[0] * (points[i] - middle[0]) + axis[1] * (points[i + 1] - middle[1]) + axis[2] * (points[i + 2] - middle[2]);
          most[k] = Math.max(most[k], Math.abs(place));
        }
      }
    }
    return most;
  }

  function middleOf(points) {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    points.forEach((value, i) => {
      low[i % 3] = Math.min(low[i % 3], value);
      high[i % 3] = Math.max(high[i % 3], value);
    });
    return low.map((value, axis) => (value + high[axis]) / 2);
  }

  function draw(canvas, view, points, camera, middle, reach) {
    const ratio = Math.min(devicePixelRatio || 1, 1.5);
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d", { willReadFrequently: true }), image = context.createImageData(width, height);
    const colours = new Uint32Array(image.data.buffer), depths = new Float32Array(width * height).fill(-Infinity);
    const axes = axesOf(camera);
    const scale = 0.46 * camera.zoom * Math.min(width / reach[0], height / reach[1]);
    const n = points.length / 3;
    const size = Math.min(Math.max(Math.sqrt((COVER * width * height) / n) * Math.sqrt(camera.zoom), 2 * ratio), 8 * ratio * camera.zoom);
    const palette = view.palette.map(([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r);
    const still = (255 << 24) | (STILL[2] << 16) | (STILL[1] << 8) | STILL[0];
    const [right, up, near] = axes;
    for (let i = 0; i < n; i++) {
      const x = points[3 * i] - middle[0], y = points[3 * i + 1] - middle[1], z = points[3 * i + 2] - middle[2];
      const pale = camera.errors && view.wrong && !((view.wrong[i >> 3] >> (i & 7)) & 1);
      const edge = Math.max(1, Math.round(pale ? size / 4 : size));
      const left = Math.round(width / 2 + scale * (right[0] * x + right[1] * y + right[2] * z) - edge / 2);
      const top = Math.round(height / 2 - scale * (up[0] * x + up[1] * y + up[2] * z) - edge / 2);
      const depth = scale * (near[0] * x + near[1] * y + near[2] * z);
      const colour = pale ? still : palette[view.kinds[i]];
      for (let row = Math.max(top, 0); row < Math.min(top + edge, height); row++) {
        for (let column = Math.max(left, 0), pixel = row * width + column; column < Math.min(left + edge, width); column++, pixel++) {
          if (depth > depths[pixel]) {
            depths[pixel] = depth;
            colours[pixel] = colour;
          }
        }
      }
    }
    shade(image.data, depths, width, height, size / 2, ratio);
    context.putImageData(image, 0, 0);
  }

  function shade(data, depths, width, height, flat, ratio) {
    for (let row = 1; row < height - 1; row++) {
      for (let column = 1, pixel = row * width + 1; column < width - 1; column++, pixel++) {
        const own = depths[pixel];
        if (own === -Infinity) continue;
        let nearer = 0;
        for (const other of [depths[pixel - 1], depths[pixel + 1], depths[pixel - width], depths[pixel + width]]) {
          if (other - own > flat) nearer += Math.min((other - own - flat) / ratio, MOST_SHADE);
        }
        if (nearer) {
          const light = Math.exp((-SHADE * nearer) / 4);
          for (let channel = 0; channel < 3; channel++) data[4 * pixel + channel] *= light;
        }
      }
    }
  }

  function viewer(place) {
    const source = place.querySelector("script");
    const data = JSON.parse(source.textContent);
    source.remove();
    const { clean, moved } = unpacked(data);
    const start = { turn: data.turn, height: data.height, zoom: 1 };
    const camera = { ...start, errors: false };
    const middle = middleOf(clean), reach = extent([clean, ...moved], axesOf(start), middle);
    const views = data.views.map((view) => ({ ...view, kinds: bytes(view.kinds), wrong: view.wrong && bytes(view.wrong) }));
    const group = place.querySelector(".turning");
    const canvases = [...place.querySelectorAll(".view img")].map((picture) => {
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", picture.alt);
      picture.before(canvas);
      return canvas;
    });
    let waiting = false;
    const redraw = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        canvases.forEach((canvas, i) => draw(canvas, views[i], views[i].moved === null ? clean : moved[views[i].moved], camera, middle, reach));
      });
    };
    const turn = (across, up) => {
      camera.turn = (camera.turn + across) % 360;
      camera.height = Math.min(Math.max(camera.height + up, -90), 90);
      redraw();
    };
    const zoom = (factor) => {
      camera.zoom = Math.min(Math.max(camera.zoom * factor, 0.5), 8);
      redraw();
    };
    const actions = {
      left: () => turn(15, 0), right: () => turn(-15, 0), up: () => turn(0, 10), down: () => turn(0, -10),
      in: () => zoom(1.25), out: () => zoom(0.8),
      reset: () => { Object.assign(camera, start); redraw(); },
    };
    const keys = {
      ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", "+": "in", "=": "in", "-": "out", Home: "reset",
    };
    place.querySelector(".tools").hidden = false;
    place.querySelectorAll("button").forEach((button) => button.addEventListener("click", actions[button.dataset.do]));
    place.querySelector("input")?.addEventListener("change", (event) => { camera.errors = event.target.checked; redraw(); });
    group.tabIndex = 0;
    group.setAttribute("aria-keyshortcuts", "ArrowLeft ArrowRight ArrowUp ArrowDown + - Home");
    group.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      actions[keys[event.key]]();
    });
    for (const canvas of canvases) {
      canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); });
      canvas.addEventListener("pointermove", (event) => {
        if (canvas.hasPointerCapture(event.pointerId)) turn(-0.5 * event.movementX, event.pointerType === "touch" ? 0 : 0.5 * event.movementY);
      });
      canvas.addEventListener("wheel", (event) => {
        if (!event.ctrlKey) return; // a plain wheel scrolls the page
        event.preventDefault();
        zoom(Math.exp(-0.01 * event.deltaY));
      }, { passive: false });
    }
    new ResizeObserver(redraw).observe(group);
  }

  // Nothing is unpacked before it comes near the screen.
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) {
        seen.unobserve(target);
        viewer(target);
      }
    }
  }, { rootMargin: "600px" });
  document.querySelectorAll(".cloud").forEach((place) => seen.observe(place));
})();
