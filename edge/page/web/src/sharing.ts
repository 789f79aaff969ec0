// Whether a screen is shared, as a student sees it. Pure: told the time and what arrived, it answers.

/** A screen that stands still for this long may have ended, ms: browsers repeat a still one every second. */
export const quiet = 1200
/** And the node is asked again after this long, ms. */
export const again = 2500

/** Sharing follows the screen of one session. */
export class Sharing {
  /** Whether there is a screen to be shown. It is true from the first picture on, so that nothing black is shown. */
  on = false
  private frames = 0
  private moved = -Infinity
  private asked = -Infinity

  /** look takes in how many pictures of the screen were decoded so far, and tells whether to ask the node about it. */
  look(now: number, frames: number): boolean {
    if (frames !== this.frames) {
      this.frames = frames
      this.moved = now
      this.on = true
      return false
    }
    if (!this.on || now - this.moved < quiet || now - this.asked < again) return false
    this.asked = now
    return true
  }

  /** heard takes in what the node says. A screen that it shares shows itself by its pictures. */
  heard(shared: boolean): void {
    if (!shared) this.on = false
  }
}
