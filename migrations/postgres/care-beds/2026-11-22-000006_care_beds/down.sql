-- Back to a system without family care beds.
DROP TABLE care_bed_call;
DROP TABLE care_bed;
