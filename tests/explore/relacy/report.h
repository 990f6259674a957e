int report_main(int argc, char **argv)
{
	for (unsigned i = 0; i < explore_nscenarios; i++) {
		const explore_scenario *s = &explore_scenarios[i];
		if (argc > 1 && strstr(s->name, argv[1]) == NULL) continue;
		for (unsigned v = 0; v < s->variants; v++) {
			double t = now();
			if (s->bound != 0) {
			outcome o = run(s, v, rl::sched_bound, argc > 2 ? atoi(argv[2]) : s->bound, ~0ull >> 1);
			printf("%-28s %u bound %llu %s %.2f\n", s->name, v, o.iterations, rl::test_result_str(o.result), now() - t); }
			t = now();
			outcome o = run(s, v, rl::sched_random, 0, 2000);
			printf("%-28s %u random %llu %s %.2f\n", s->name, v, o.iterations, rl::test_result_str(o.result), now() - t);
			fflush(stdout);
		}
	}
	return 0;
}
