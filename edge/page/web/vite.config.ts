import { defineConfig } from 'vitest/config'

declare const process: { env: Record<string, string | undefined> }

export default defineConfig({
  // The JSX of Preact, without a plugin: the compiler inside Vite knows it.
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    // The Go package embeds this folder.
    outDir: '../dist',
    emptyOutDir: true,
    target: 'es2022',
    // The content security policy allows no data: URL, so every asset is a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // `npm run dev` shows the pages of this folder against a node on this machine.
    proxy: Object.fromEntries(
      ['/v1', '/whip', '/whep'].map((path) => [path, process.env['LYCEUM_NODE'] ?? 'http://127.0.0.1:8080']),
    ),
  },
  test: { environment: 'jsdom', include: ['test/**/*.test.ts', 'test/**/*.test.tsx'] },
})
