// Says of a block of code that it scrolls, where it is wider than the screen.
const mark = () => {
  for (const block of document.querySelectorAll("div.highlight")) {
    const code = block.querySelector("pre");
    block.classList.toggle("scrolls", code !== null && code.scrollWidth > code.clientWidth);
  }
};
addEventListener("load", mark);
addEventListener("resize", mark);
