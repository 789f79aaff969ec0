// Keeping the screen on while somebody watches.

import { useEffect } from 'preact/hooks'

/** useWakeLock keeps the screen on while `on`. The system takes the lock when the page is hidden, so it is asked for again. */
export function useWakeLock(on: boolean): void {
  useEffect(() => {
    if (!on || !('wakeLock' in navigator)) return
    let lock: WakeLockSentinel | null = null
    let over = false
    const take = async () => {
      if (over || document.visibilityState !== 'visible' || (lock && !lock.released)) return
      try {
        const taken = await navigator.wakeLock.request('screen')
        if (over) void taken.release()
        else lock = taken
      } catch {
        // A low battery forbids it; watching works all the same.
      }
    }
    void take()
    document.addEventListener('visibilitychange', take)
    return () => {
      over = true
      document.removeEventListener('visibilitychange', take)
      void lock?.release()
    }
  }, [on])
}

/** useHurry calls back when the network returns or the page is looked at again. */
export function useHurry(hurry: () => void): void {
  useEffect(() => {
    const seen = () => {
      if (document.visibilityState === 'visible') hurry()
    }
    window.addEventListener('online', hurry)
    document.addEventListener('visibilitychange', seen)
    return () => {
      window.removeEventListener('online', hurry)
      document.removeEventListener('visibilitychange', seen)
    }
  }, [hurry])
}
