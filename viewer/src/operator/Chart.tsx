/** A figure, and how it has been. */

const WIDTH = 240;
const HEIGHT = 48;
const SAMPLES_MIN = 30;

export function Chart({ label, value, note, samples }: { label: string; value: string; note: string; samples: readonly number[] }) {
  return (
    <div className="figure">
      <h2>{label}</h2>
      <p className="figure-value">{value}</p>
      <Line samples={samples} />
      <p className="figure-note">{note}</p>
    </div>
  );
}

function Line({ samples }: { samples: readonly number[] }) {
  const max = Math.max(1, ...samples);
  // The newest is always at the right; a page just opened has little to show, and says so by being short.
  const points = samples.map((sample, index) => {
    const x = WIDTH - (samples.length - 1 - index) * (WIDTH / (Math.max(SAMPLES_MIN, samples.length) - 1));
    return `${x.toFixed(1)},${(HEIGHT - 2 - (sample / max) * (HEIGHT - 4)).toFixed(1)}`;
  });
  const first = points[0]?.split(',')[0] ?? WIDTH;
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" className="line" aria-hidden="true">
      <polygon points={`${first},${HEIGHT} ${points.join(' ')} ${WIDTH},${HEIGHT}`} />
      <polyline points={points.join(' ')} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
