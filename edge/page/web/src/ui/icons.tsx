// The few pictograms of the pages, drawn on a grid of 24 in one stroke width.

import type { ComponentChildren } from 'preact'

function icon(children: ComponentChildren) {
  return function Icon() {
    return (
      <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
        {children}
      </svg>
    )
  }
}

const slash = <path d="M4 4l16 16" />

export const SoundIcon = icon(<path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11" />)
export const SilentIcon = icon(<path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5" />)
export const FullIcon = icon(<path d="M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5" />)
export const SmallIcon = icon(<path d="M4 9h5V4M20 9h-5V4M4 15h5v5M20 15h-5v5" />)
export const LeaveIcon = icon(<path d="M14 4H6v16h8M10.5 12H21M17.5 8.5 21 12l-3.5 3.5" />)
export const PlayIcon = icon(<path d="M8 5.5v13l10.5-6.5z" fill="currentColor" />)
export const MicIcon = icon(<path d="M12 3.5a2.8 2.8 0 0 0-2.8 2.8v5a2.8 2.8 0 0 0 5.6 0v-5A2.8 2.8 0 0 0 12 3.5zM5.8 11.5a6.2 6.2 0 0 0 12.4 0M12 17.7v3" />)
export const MicOffIcon = icon(
  <>
    <path d="M9.2 9.5v1.8a2.8 2.8 0 0 0 4.6 2.1M14.8 10.5V6.3a2.8 2.8 0 0 0-5.3-1.2M5.8 11.5a6.2 6.2 0 0 0 10 4.9M18.2 11.5c0 .8-.1 1.5-.4 2.2M12 17.7v3" />
    {slash}
  </>,
)
export const CameraIcon = icon(<path d="M3.5 7h11v10h-11zM14.5 10.5l6-3v9l-6-3" />)
export const CameraOffIcon = icon(
  <>
    <path d="M3.5 7H7m3.5 0h4v4m0 3.5V17h-11V7M14.5 10.5l6-3v9l-3.5-1.75" />
    {slash}
  </>,
)
export const ScreenIcon = icon(<path d="M3 5h18v11.5H3zM9 20h6M12 13.5v-5M9.5 10.5 12 8l2.5 2.5" />)
export const WarningIcon = icon(<path d="M12 4 2.8 19.5h18.4zM12 10v4.5M12 16.8v.2" />)

/** Mark is the sign of the product: a small temple of learning. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" />
      <path d="M16 6.5 26 12v2H6v-2zM8.5 15.5h3v7h-3zM14.5 15.5h3v7h-3zM20.5 15.5h3v7h-3zM6 24h20v2H6z" />
    </svg>
  )
}
