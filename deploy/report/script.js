"use strict";
for (const slide of document.querySelectorAll("input.slide")) {
  const frame = document.getElementById(slide.dataset.frame);
  const show = () => {
    const share = Number(slide.value);
    frame.style.setProperty("--cut", share + "%");
    slide.setAttribute("aria-valuetext", share + " % float, " + (100 - share) + " % integer");
  };
  slide.addEventListener("input", show);
  show();
}
const cue = () => {
  for (const box of document.querySelectorAll(".scroll")) box.classList.toggle("more", box.scrollWidth > box.clientWidth + 1);
};
addEventListener("resize", cue);
cue();
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
