/* SPDX-License-Identifier: BSD-2-Clause */
/* Bars as SVG: a panel for each size and mapping, a group of bars for each backing. */
#include "cli/bench_panel.h"

#include <math.h>

#define WIDTH 1120.0
#define LEFT 74.0
#define RIGHT 16.0
#define PLOT_HEIGHT 210.0
#define TITLE_HEIGHT 34.0
#define LABEL_HEIGHT 40.0
#define PANEL_HEIGHT (TITLE_HEIGHT + PLOT_HEIGHT + LABEL_HEIGHT)
#define LEGEND_COLUMNS 4
#define LEGEND_ROW 18.0
#define HEAD 36.0
#define TICKS 6

/* A method, and the same after fallocate in a lighter shade. */
static const char *const colours[BENCH_METHODS_MAX] = {
	"#3b6ea8", "#c0504d", "#8064a2", "#2f8f83", "#d98324", "#6b6b6b", "#a5c3e4", "#e7aaa7",
	"#c5b8da", "#9bd3cb", "#f2c894", "#111111", "#4f6228", "#7f3f00", "#00688b", "#8b0a50",
};

/* One thread, and ever more of them. */
static const char *const shades[BENCH_THREADS_MAX] = {
	"#a9b8c9", "#7d93ab", "#55708e", "#35516f", "#1d3854", "#10263c", "#081726", "#000000",
};

/* Text that may hold anything. */
static void put_text(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		default:
			if ((unsigned char)*text >= ' ')
				fputc(*text, out);
		}
	}
}

/* ---- drawing ------------------------------------------------------------------------ */

static double height_of(const struct bench_panel *p, double value)
{
	return value / p->highest * (PLOT_HEIGHT - 8);
}

/* 1, 2 or 5 times a power of ten, so that there are at most TICKS of them. */
static double step_of(double highest)
{
	double step = pow(10, floor(log10(highest / TICKS)));

	if (step * TICKS >= highest)
		return step;
	if (step * 2 * TICKS >= highest)
		return step * 2;
	return step * 5 * TICKS >= highest ? step * 5 : step * 10;
}

static void draw_axis(const struct bench_panel *p, double bottom, FILE *out)
{
	double step = step_of(p->highest);

	for (double value = 0; value <= p->highest * 1.0001; value += step) {
		double y = bottom - height_of(p, value);

		fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", LEFT,
		        y, WIDTH - RIGHT, y, value > 0 ? "#dddddd" : "#444444");
		fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT - 6, y + 4,
		        value);
	}
}

static void draw_missing(const char *why, double x, double y, FILE *out)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"#999999\">\u00d7<title>", x,
	        y - 3);
	put_text(out, why);
	fputs("</title></text>\n", out);
}

/* A bar as high as the mean, and a line from the shortest to mean and spread. */
static void draw_bar(const struct bench_panel *p, unsigned group, unsigned series, double bottom, FILE *out)
{
	const struct bench_bar *bar = &p->bar[group][series];
	double room = (WIDTH - LEFT - RIGHT) / p->groups, width = room * 0.88 / p->series;
	double x = LEFT + room * group + room * 0.06 + width * series;
	double mean = bar->s.mean / p->unit, shortest = bar->s.shortest / p->unit;
	double spread = bar->s.spread / p->unit;
	const char *colour = (p->by_threads ? shades : colours)[series];

	if (bar->cell->why != NULL) {
		draw_missing(bar->cell->why, x + width / 2, bottom, out);
		return;
	}
	fprintf(out, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"><title>", x,
	        bottom - height_of(p, mean), width * 0.9, height_of(p, mean), colour);
	put_text(out, p->group[group]);
	fprintf(out, ", %s: mean %.4g, shortest %.4g, spread %.3g</title></rect>\n", p->name[series], mean,
	        shortest, spread);
	fprintf(out, "<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\" stroke=\"#000000\"/>\n",
	        x + width * 0.45, bottom - height_of(p, shortest), x + width * 0.45,
	        bottom - height_of(p, mean + spread));
}

static void draw_group(const struct bench_panel *p, unsigned group, double bottom, FILE *out)
{
	double room = (WIDTH - LEFT - RIGHT) / p->groups, middle = LEFT + room * (group + 0.5);
	const char *why = bench_panel_missing(p, group);

	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", middle, bottom + 18,
	        p->group[group]);
	if (why != NULL) {
		draw_missing(why, middle, bottom, out);
		return;
	}
	for (unsigned i = 0; i < p->series; i++)
		draw_bar(p, group, i, bottom, out);
}

static void draw_panel(const struct bench_panel *p, double top, FILE *out)
{
	double bottom = top + TITLE_HEIGHT + PLOT_HEIGHT;

	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"14\" font-weight=\"bold\">", LEFT, top + 20);
	put_text(out, p->title);
	fputs("</text>\n", out);
	draw_axis(p, bottom, out);
	for (unsigned i = 0; i < p->groups; i++)
		draw_group(p, i, bottom, out);
}

static double draw_legend(const struct bench_options *o, FILE *out)
{
	struct bench_key k = {0};
	unsigned i = 0;

	for (bool any = bench_first_method(o, &k); any; any = bench_next_method(o, &k), i++) {
		double x = LEFT + (WIDTH - LEFT - RIGHT) / LEGEND_COLUMNS * (i % LEGEND_COLUMNS);
		double y = HEAD + LEGEND_ROW * (i / LEGEND_COLUMNS);

		fprintf(out,
		        "<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" fill=\"%s\"/>"
		        "<text x=\"%.1f\" y=\"%.1f\">%s</text>\n",
		        x, y, colours[i], x + 18, y + 10, o->subject->methods[k.method].name);
	}
	return HEAD + LEGEND_ROW * ((i + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS) + 10;
}

/* ---- all panels ------------------------------------------------------------------------ */

/* Draws the panels of a size, or only counts them (out NULL). Returns where they end. */
static double draw_size(const struct bench *b, unsigned size, double top, FILE *out)
{
	const struct bench_options *o = b->options;
	struct bench_key k = {.size = size};
	struct bench_panel p;

	for (unsigned by_threads = 0; by_threads <= (bench_thread_counts(o, size) > 1); by_threads++) {
		for (k.mapping = 0; k.mapping < BENCH_MAPPINGS; k.mapping++) {
			if ((o->mappings >> k.mapping & 1) == 0)
				continue;
			if (out != NULL) {
				bench_panel_fill(&p, b, k, by_threads);
				draw_panel(&p, top, out);
			}
			top += PANEL_HEIGHT;
		}
	}
	return top;
}

static double draw_panels(const struct bench *b, double top, FILE *out)
{
	for (unsigned i = 0; i < b->options->size_count; i++)
		top = draw_size(b, i, top, out);
	return top;
}

void bench_draw(const struct bench *b, FILE *out)
{
	double rows = (double)((b->options->subject->method_count + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS);
	double height = draw_panels(b, HEAD + LEGEND_ROW * rows + 20, NULL);
	struct os_probe probe;

	os_probe(&probe);
	fprintf(out,
	        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
	        "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"12\">\n"
	        "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
	        WIDTH, height, WIDTH, height);
	fprintf(out,
	        "<text x=\"%.1f\" y=\"22\" font-size=\"16\">sparena bench %s, mean of %u round%s, Linux ",
	        LEFT, b->options->subject->name, b->options->rounds, b->options->rounds == 1 ? "" : "s");
	put_text(out, probe.kernel);
	fputs("</text>\n", out);
	draw_panels(b, draw_legend(b->options, out), out);
	fputs("</svg>\n", out);
}
