// The site's own behaviour, whichever builder made the pages. Nothing here asks another host.
(() => {
  "use strict";

  // ---- search: every word must occur; headings count most, then the words side by side, then a lesson before its exports
  if (window.Fuse) {
    const plain = (text) => (text || "").toLowerCase().replace(/[-–]/g, " ");
    window.Fuse = class {
      constructor(entries) {
        this.known = entries.map((item) => ({ item, head: plain(`${item.title} ${item.section}`), text: plain(item.text) }));
      }
      search(query, options) {
        const phrase = plain(query).trim().replace(/\s+/g, " "), words = phrase.split(" ").filter(Boolean);
        const rank = ({ item, head, text }) => (head.includes(phrase) ? 0 : text.includes(phrase) ? 2 : 4)
          + (words.some((word) => head.includes(word)) ? 0 : 1) + (/^(def|class) /.test(item.text.trim()) ? 1.5 : 0);
        const found = this.known.filter(({ head, text }) => words.every((word) => head.includes(word) || text.includes(word)));
        return found.sort((a, b) => rank(a) - rank(b)).slice(0, (options || {}).limit || 20);
      }
    };
  }

  document.addEventListener("DOMContentLoaded", () => {
    // ---- the sidebar shows where the reader is
    const here = location.pathname.split("/").pop() || "index.html";
    const links = Array.from(document.querySelectorAll("#quarto-sidebar a[href]"));
    const current = links.find((link) => link.pathname === location.pathname)
      || links.find((link) => link.pathname.endsWith("/" + here));
    if (current) {
      current.setAttribute("aria-current", "page");
      const bar = document.querySelector("#quarto-sidebar");
      const show = () => {
        if (!bar || !bar.clientHeight) return;
        bar.scrollTop += current.getBoundingClientRect().top - bar.getBoundingClientRect().top - bar.clientHeight / 2;
      };
      show();
      if (bar) bar.addEventListener("shown.bs.collapse", show);      // on a telephone it opens when it is asked for
    }
    // ---- the tab key stops where there is something to do: a box that does not scroll is no stop
    const boxes = Array.from(document.querySelectorAll("main [tabindex='0']:is(pre, div, math)"));
    const stops = () => {
      const scrolls = boxes.map((box) => box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight);
      boxes.forEach((box, i) => { if (scrolls[i]) box.tabIndex = 0; else box.removeAttribute("tabindex"); });
    };
    stops();
    window.addEventListener("load", () => {
      stops();
      document.querySelectorAll("a.anchorjs-link").forEach((link) => { link.tabIndex = -1; });
    });
    window.addEventListener("resize", stops);
    document.addEventListener("toggle", stops, true);
    // ---- what looks like a button answers to the keyboard
    document.querySelectorAll('[role="button"][tabindex]').forEach((button) => button.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); button.click(); }
    }));
  });
})();
