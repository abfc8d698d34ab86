# SPDX-License-Identifier: GPL-2.0-or-later
victims: $(VICTIM_DIR)/faults_table-o2 $(VICTIM_DIR)/faults_rss-o2 $(VICTIM_DIR)/map_reader-o2
